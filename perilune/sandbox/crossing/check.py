"""The check's side: runs the check once on a stand-in of the program, and says how it ended."""

from __future__ import annotations

import ast
import contextlib
import random
import sys
from collections.abc import Callable
from typing import Any

from perilune.sandbox.crossing import errors
from perilune.sandbox.crossing.carrier import Reference, class_digests
from perilune.sandbox.crossing.peer import Lost, Peer

Verdict = list[Any]
"""A word, a detail for people, and how many calls were made."""


def run_check(request: dict[str, Any], peer: Peer) -> Verdict:
    """The check's word: passed, refused, raised (by the program), context or check (they cannot be run), syntax or
    failed (the program's own start), lost (the program gave no answer any more)."""
    entry_point = request["entry_point"]
    namespace: dict[str, Any] = {"__name__": "check"}
    part = "context"
    try:
        exec(compile(request["context"], "<prompt>", "exec", dont_inherit=True), namespace)
        part = "check"
        known = _classes(request["prompt"], namespace)
        asked_for = namespace.pop(entry_point, None)
        exec(compile(request["check"], "<check>", "exec", dont_inherit=True), namespace)
        check = namespace["check"]
        known |= _classes(request["check"], namespace)
    except BaseException as error:
        return [part, errors.told(error), 0]
    try:
        with contextlib.suppress(Lost):  # a program that cannot be asked has said why, and is gone
            peer.say(class_digests(known))
        peer.lost = ""
        word, *rest = peer.hear()
        if word in {"syntax", "failed"}:
            return [word, str(rest[0]), 0]
        peer.carrier.share(known, rest[1], entry_point.partition(".")[0])
        candidate = peer.carrier.read(rest[0])
    except (Lost, Exception):
        return ["lost", peer.lost, 0]
    if not isinstance(candidate, Reference):
        return ["failed", f"{entry_point} is a {type(candidate).__name__}, which cannot be called", 0]
    is_class = isinstance(asked_for, type) if asked_for is not None else entry_point[:1].isupper()
    peer.asked_for = candidate if is_class and "." not in entry_point else None
    namespace[entry_point.rpartition(".")[2]] = candidate
    return _outcome(check, candidate, peer, request["check"])


def _classes(text: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """The classes of a text's own, as they are in a namespace where it was run."""
    try:
        names = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    except SyntaxError:
        names = []
    tuples = [name for name, value in namespace.items() if isinstance(value, type) and hasattr(value, "_fields")]
    return {name: namespace[name] for name in [*names, *tuples] if isinstance(namespace.get(name), type)}


def _outcome(check: Callable[..., Any], candidate: Any, peer: Peer, text: str) -> Verdict:
    raised: list[BaseException] = []

    def meant(error: BaseException) -> BaseException:
        raised.append(errors.as_meant(error, text))
        return raised[-1]

    def printed(text: str) -> None:
        # For a check that looks at what is printed; nobody reads this process's own stdout.
        if sys.stdout is not sys.__stdout__:
            sys.stdout.write(text)

    peer.meant, peer.printed = meant, printed
    random.seed(0)
    ended: BaseException | None = None
    try:
        check(candidate)
    except BaseException as error:
        ended = error
    if peer.lost:
        return ["lost", peer.lost, peer.calls]
    ended = ended or peer.failed
    if ended is None:
        return ["passed", "", peer.calls]
    own = any(ended is error for error in raised)
    return ["raised" if own else "refused", errors.told(ended), peer.calls]
