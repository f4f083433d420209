"""Rows of a source: JSONL, Parquet, a Hugging Face data set; each with the place that an error message names."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

from perilune.errors import BackendUnavailable, ProblemsError
from perilune.recipe.problems import SourceConfig

Record = tuple[str, Mapping[str, Any]]
"""(where, fields)"""

Item = TypeVar("Item")
_ROWS_AT_ONCE = 1024
"""Of a Parquet file."""


def read_records(source: SourceConfig) -> Iterator[Record]:
    """The rows, sliced as ``source.rows`` says; each is read when it is asked for, and those outside not at all.

    Where the source is missing, or has no rows, that is told at once; a later row that cannot be read, when its turn
    comes.

    Raises:
        ProblemsError: the source is missing or a row cannot be read; names file, line and reason.
        BackendUnavailable: the source needs a package that is not installed.
    """
    if source.path is None:
        raise ProblemsError(
            f"a source of kind {source.kind!r} needs a path: set problems.train.path and problems.heldout.path"
        )
    if source.kind not in READERS:
        raise ProblemsError(f"a source of kind {source.kind!r} has no rows to read; those of {', '.join(READERS)} have")
    read = READERS[source.kind]
    rows = read(source, _slice(source.rows))
    first = next(rows, None)
    if first is None:
        cause = "; the source is empty"
        if source.rows:
            cause = f": rows = {source.rows!r} leaves 0 of {sum(1 for _ in read(source, slice(None)))}"
        raise ProblemsError(f"no rows in {source.path}{cause}")
    return chain((first,), rows)


def _slice(text: str | None) -> slice:
    if not text:
        return slice(None)
    try:
        first, last = (int(part) if part.strip() else None for part in text.split(":"))
    except ValueError:
        raise ProblemsError(f"rows = {text!r} is not a slice such as ':-500', '-500:' or '100:200'") from None
    return slice(first, last)


def sliced(items: Iterable[Item], wanted: slice) -> Iterator[Item]:
    """``list(items)[wanted]`` in one pass; what is counted from the end is all that is held.

    Args:
        items: of any number.
        wanted: without a step.
    """
    first, last = wanted.start or 0, wanted.stop
    if first >= 0 and (last is None or last >= 0):
        yield from islice(items, first, last)
    elif first >= 0:
        held: deque[Item] = deque()
        for item in islice(items, first, None):
            held.append(item)
            if len(held) > -last:
                yield held.popleft()
    else:
        tail: deque[tuple[int, Item]] = deque(enumerate(items), maxlen=-first)
        count = tail[-1][0] + 1 if tail else 0
        end = count if last is None else last if last >= 0 else count + last
        while tail:
            place, item = tail.popleft()
            if place >= end:
                return
            yield item


def _open(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ProblemsError(f"no problem file at {file}; set problems.train.path and problems.heldout.path")
    return file


def _jsonl(source: SourceConfig, wanted: slice) -> Iterator[Record]:
    file = _open(str(source.path))
    for number, line in sliced(_lines(file), wanted):
        where = f"{file}, line {number}"
        yield where, _object(line, where)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """(number, text) of each line that is not blank."""
    with _text(file) as lines:
        number = 0
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
        except gzip.BadGzipFile:
            raise ProblemsError(f"{file}: its name ends in .gz, but it is not gzip-compressed") from None
        except (EOFError, zlib.error):
            raise ProblemsError(f"{file}, after line {number}: the compressed file is cut off or damaged") from None


def _text(file: Path) -> TextIO:
    """The file's lines; what is not UTF-8 is kept as it is, for it is decoded in blocks, ahead of the line it is in."""
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", errors="surrogateescape")
    return file.open(encoding="utf-8", errors="surrogateescape")


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        line.encode("utf-8")
        value = json.loads(line)
    except UnicodeEncodeError as error:
        byte = ord(line[error.start]) - 0xDC00
        raise ProblemsError(f"{where}: not UTF-8 text (byte 0x{byte:02x} at column {error.start + 1})") from None
    except json.JSONDecodeError as error:
        raise ProblemsError(f"{where}: not valid JSON ({error.msg} at column {error.colno})") from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or brackets without end.
        raise ProblemsError(f"{where}: JSON that cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise ProblemsError(f"{where}: a JSON object is needed, this is a {type(value).__name__}")
    return value


def _parquet(source: SourceConfig, wanted: slice) -> Iterator[Record]:
    import pyarrow
    import pyarrow.parquet

    file = _open(str(source.path))
    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            first, last, _ = wanted.indices(table.metadata.num_rows)
            start = 0
            for batch in table.iter_batches(_ROWS_AT_ONCE):
                if start >= last:
                    break
                skipped = max(0, first - start)
                rows = batch.slice(skipped, max(0, last - start - skipped)).to_pylist()
                for number, row in enumerate(rows, start + skipped + 1):
                    yield f"{file}, row {number}", row
                start += len(batch)
    except (pyarrow.ArrowException, OSError) as error:
        raise ProblemsError(f"{file}: not a readable Parquet file ({error})") from None


def _huggingface(source: SourceConfig, wanted: slice) -> Iterator[Record]:
    try:
        import datasets
    except ImportError:
        raise BackendUnavailable(
            "problems of kind 'huggingface' need the package datasets: pip install 'perilune[datasets]'"
        ) from None
    try:
        rows = datasets.load_dataset(source.path, source.subset, split=source.split)
    except Exception as error:
        raise ProblemsError(
            f"cannot load split {source.split!r} of the data set {source.path!r}: {error}; the hub must answer, or "
            "path must be a local folder"
        ) from error
    first, last, _ = wanted.indices(len(rows))
    for number, row in enumerate(rows.select(range(first, last)), first + 1):
        yield f"{source.path} [{source.split}], row {number}", row


READERS: Mapping[str, Callable[[SourceConfig, slice], Iterator[Record]]] = {
    "jsonl": _jsonl,
    "humaneval": _jsonl,
    "parquet": _parquet,
    "huggingface": _huggingface,
}
"""Kinds that are rows; each reads those of a slice."""
