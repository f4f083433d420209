"""JSON lines that a killed process may have left unfinished."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """The value as JSON can say it: NaN and infinities become None, tuples lists, keys strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def json_line(value: Any) -> str:
    """One line of JSON, newline included."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False) + "\n"


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file in order; none if there is no file.

    A line that is no whole object is skipped: a process that was killed leaves one at the end, and the run that
    resumes it may have written on behind.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    objects = []
    # Not splitlines(): model text may hold line separators that JSON leaves as they are.
    for line in text.split("\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            objects.append(value)
    return objects
