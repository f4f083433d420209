"""LiveCodeBench's private tests: JSON, or base64 of zlib of a pickled text of JSON.

A pickle can run anything. This one may hold a text and nothing else: no name is looked up, whatever it asks for.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import Any, NoReturn

_MOST_BYTES = 1 << 30


class _TextsOnly(pickle.Unpickler):
    """Refuses whatever is not of plain types."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Called for every class or function that a pickle asks for."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_private_tests(value: Any) -> list[Any]:
    """The list of tests.

    Args:
        value: the column: a list, JSON, or the packed text.

    Raises:
        ValueError: it is none of them, holds more than a text, or unpacks to more than 1 GiB.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = _unpacked(value)
    if not isinstance(value, list):
        raise ValueError(f"private tests must be a list, this is a {type(value).__name__}")
    return value


def _unpacked(text: str) -> Any:
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        pickled = unpacker.decompress(packed, _MOST_BYTES)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise ValueError(f"private tests are neither JSON nor base64 of zlib: {error}") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("private tests are cut off, or unpack to more than 1 GiB")
    try:
        content = _TextsOnly(io.BytesIO(pickled)).load()
    except Exception as error:  # A broken pickle raises whatever its bytes lead to.
        raise ValueError(f"private tests hold more than a text, or are broken: {error}") from None
    if not isinstance(content, str):
        raise ValueError(f"private tests must be a pickled text, this is a {type(content).__name__}")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"private tests are no JSON: {error}") from None
