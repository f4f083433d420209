"""The program's side: runs its text, and does what the check asks for."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from typing import Any

from perilune.sandbox.crossing import errors
from perilune.sandbox.crossing.carrier import class_digests
from perilune.sandbox.crossing.peer import Lost, Peer

_LONGEST_PRINTED = 1 << 16


def run_candidate(request: dict[str, Any], peer: Peer) -> None:
    """Say whether the program can be asked, and answer until the check has ended."""
    try:
        code = compile(request["source"], "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        peer.say(["syntax", errors.told(error)])
        return
    module = types.ModuleType("program")
    sys.modules["program"] = module
    try:
        exec(code, module.__dict__)
        target = _target(module.__dict__, request["entry_point"])
        theirs = peer.hear()
        peer.carrier.share(dict(module.__dict__), theirs, request["entry_point"].partition(".")[0])
        ready = ["ready", peer.carrier.write(target), class_digests(dict(module.__dict__))]
    except Lost:
        return
    except BaseException as error:
        peer.say(["failed", errors.told(error)])
        return
    peer.take_printed = _Printed().take
    peer.say(ready)
    try:
        peer.serve()
    except Lost:
        return


def _target(names: dict[str, Any], entry_point: str) -> Any:
    owner, _, method = entry_point.partition(".")
    if not method:
        return names[owner]
    kind = names.get(owner)
    if not isinstance(kind, type):
        return names[method]
    return _on_fresh_instances(kind, method)


def _on_fresh_instances(kind: type, method: str) -> Callable[..., Any]:
    if not hasattr(kind, method):
        raise AttributeError(f"the class {kind.__name__} has no method {method!r}")

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(kind(), method)(*arguments, **named)

    call.__name__ = call.__qualname__ = method
    return call


class _Printed:
    """What the program prints, as far as nobody has asked for it."""

    def __init__(self) -> None:
        self._seen = self._size()

    def _size(self) -> int:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except Exception:
            return 0
        return os.fstat(1).st_size

    def take(self) -> str:
        """The newest of it."""
        try:
            size = self._size()
            if size <= self._seen:
                return ""
            text = os.pread(1, min(size - self._seen, _LONGEST_PRINTED), self._seen)
        except OSError:
            return ""
        self._seen = size
        return text.decode("utf-8", errors="replace")
