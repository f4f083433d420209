"""Rows of a source: JSONL, Parquet, a Hugging Face data set; each with the place that an error message names."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from perilune.errors import BackendUnavailable, ProblemsError
from perilune.recipe.problems import SourceConfig

Record = tuple[str, Mapping[str, Any]]
"""(where, fields)"""


def read_records(source: SourceConfig) -> list[Record]:
    """All rows, sliced as ``source.rows`` says.

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
    rows = list(READERS[source.kind](source))
    kept = rows[_slice(source.rows)] if source.rows else rows
    if not kept:
        cause = f": rows = {source.rows!r} leaves 0 of {len(rows)}" if source.rows else "; the source is empty"
        raise ProblemsError(f"no rows in {source.path}{cause}")
    return kept


def _slice(text: str) -> slice:
    try:
        first, last = (int(part) if part.strip() else None for part in text.split(":"))
    except ValueError:
        raise ProblemsError(f"rows = {text!r} is not a slice such as ':-500', '-500:' or '100:200'") from None
    return slice(first, last)


def _open(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ProblemsError(f"no problem file at {file}; set problems.train.path and problems.heldout.path")
    return file


def _jsonl(source: SourceConfig) -> Iterator[Record]:
    file = _open(str(source.path))
    with _text(file) as lines:
        number = 0
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{file}, line {number}", _object(line, f"{file}, line {number}")
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


def _parquet(source: SourceConfig) -> Iterator[Record]:
    import pyarrow
    import pyarrow.parquet

    file = _open(str(source.path))
    try:
        table = pyarrow.parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise ProblemsError(f"{file}: not a readable Parquet file ({error})") from None
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"{file}, row {number}", row


def _huggingface(source: SourceConfig) -> Iterator[Record]:
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
    for number, row in enumerate(rows, 1):
        yield f"{source.path} [{source.split}], row {number}", row


READERS: Mapping[str, Callable[[SourceConfig], Iterator[Record]]] = {
    "jsonl": _jsonl,
    "humaneval": _jsonl,
    "parquet": _parquet,
    "huggingface": _huggingface,
}
"""Kinds that are rows."""
