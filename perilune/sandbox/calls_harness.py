"""What runs inside the sandbox when a function is judged: as a text of its own, so it imports nothing of Perilune.

Two processes never share memory. One holds the candidate: it is given the arguments of calls and answers with values.
The other holds the check: its candidate is a stand-in that knows the answers. The candidate can thus say what a
function may say, values and exceptions, and nothing about the verdict. Values travel as JSON that only plain types come
out of.
"""

from __future__ import annotations

import builtins
import collections
import itertools
import json
import os
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

LONGEST_ITERATOR = 1_000_000
LONGEST_MESSAGE = 300


class Opaque:
    """Stands for a value that has no plain form; equal to nothing but itself."""


class Unanswered(BaseException):
    """The check made a call whose answer is not known yet."""


class CandidateError(Exception):
    """The candidate raised what is no ordinary built-in exception."""


def _opaque(value: Any) -> Any:
    return ["opaque", type(value).__name__]


def _refuse(value: Any) -> Any:
    raise TypeError(f"the check passes a {type(value).__name__}, which has no plain form")


def encode(value: Any, other: Callable[[Any], Any] = _opaque) -> Any:
    """A value as JSON types; ``other`` says what becomes of a value that is not of plain types alone."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else ["int", hex(value)]
    if isinstance(value, float | complex):
        return ["float", value.hex()] if isinstance(value, float) else ["complex", value.real.hex(), value.imag.hex()]
    if isinstance(value, bytes | bytearray):
        return ["bytes", value.hex()]
    return _encode_many(value, other)


def _encode_many(value: Any, other: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return ["dict", [[encode(key, other), encode(inner, other)] for key, inner in value.items()]]
    if isinstance(value, set | frozenset):
        # Sets of equal content come in any order; calls are recognised by their arguments.
        return ["set", sorted((encode(inner, other) for inner in value), key=json.dumps)]
    if isinstance(value, list | tuple):
        return ["list" if isinstance(value, list) else "tuple", [encode(inner, other) for inner in value]]
    if isinstance(value, range):
        return ["range", encode(value.start), encode(value.stop), encode(value.step)]
    if isinstance(value, Iterator | type({}.keys()) | type({}.values()) | type({}.items())):
        items = itertools.islice(value, LONGEST_ITERATOR)
        return ["iterator", [encode(item, other) for item in items]]
    return other(value)


def decode(data: Any) -> Any:
    """The value that :func:`encode` encoded; what it never writes is opaque."""
    if data is None or isinstance(data, bool | int | str):
        return data
    try:
        return _decoded(*data)
    except Exception:
        return Opaque()


def _decoded(kind: str, *parts: Any) -> Any:
    makers: dict[str, Callable[..., Any]] = {
        "int": lambda digits: int(digits, 16),
        "float": float.fromhex,
        "complex": lambda real, imaginary: complex(float.fromhex(real), float.fromhex(imaginary)),
        "bytes": bytes.fromhex,
        "list": lambda items: [decode(item) for item in items],
        "tuple": lambda items: tuple(decode(item) for item in items),
        "set": lambda items: {decode(item) for item in items},
        "dict": lambda pairs: {decode(key): decode(value) for key, value in pairs},
        "range": lambda start, stop, step: range(decode(start), decode(stop), decode(step)),
        "iterator": lambda items: iter([decode(item) for item in items]),
    }
    return makers[kind](*parts)


def run_candidate(request: dict[str, Any], say: Callable[[Any], None]) -> None:
    """Answer each call of the request, one line for each; or say in one line why none can be answered."""
    try:
        code = compile(request["source"], "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        say(["syntax", _told(error)])
        return
    module = types.ModuleType("program")
    sys.modules["program"] = module
    try:
        exec(code, module.__dict__)
        function = module.__dict__[request["entry_point"]]
    except BaseException as error:
        say(["failed", _told(error)])
        return
    for arguments, named in request["calls"]:
        say(_answer(function, decode(arguments), decode(named)))


def _answer(function: Callable[..., Any], arguments: list[Any], named: dict[str, Any]) -> Any:
    before = encode(arguments)
    try:
        answer = ["returned", encode(function(*arguments, **named))]
    except BaseException as error:
        answer = ["raised", type(error).__name__, str(error)[:LONGEST_MESSAGE]]
    try:
        after = encode(arguments)
    except Exception:
        after = before
    return [*answer, after] if after != before else answer


class StandIn:
    """The candidate as the check sees it: answers from a list, or asks the reference and keeps the list."""

    def __init__(self, answers: list[tuple[Any, str]], reference: Callable[..., Any] | None) -> None:
        self._answers: dict[str, collections.deque[str]] = collections.defaultdict(collections.deque)
        for call, line in answers:
            self._answers[json.dumps(call)].append(line)
        self._reference = reference
        self.calls: list[Any] = []
        self.unanswered: Any = None
        self.raised: BaseException | None = None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the check takes for a call of the candidate."""
        call = [encode(list(arguments), _refuse), encode(named, _refuse)]
        self.calls.append(call)
        if self._reference is not None:
            return self._ask(self._reference, arguments, named)
        known = self._answers[json.dumps(call)]
        if self.unanswered is not None or not known:
            self.unanswered = self.unanswered or call
            raise Unanswered
        return self._replay(known.popleft(), arguments)

    def _ask(self, reference: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        # The check draws the same random numbers, whether the reference or a candidate stands behind it.
        state = random.getstate()
        try:
            return reference(*arguments, **named)
        finally:
            random.setstate(state)

    def _replay(self, line: str, arguments: tuple[Any, ...]) -> Any:
        try:
            kind, content, message = [*json.loads(line), None][:3]
        except Exception:
            return Opaque()
        if kind == "raised":
            found = getattr(builtins, str(content), None)
            ordinary = isinstance(found, type) and issubclass(found, Exception)
            self.raised = _raisable(found, str(message)) if ordinary else CandidateError(f"{content}: {message}")
            raise self.raised
        if message is not None:
            _change(arguments, decode(message))
        return decode(content) if kind == "returned" else Opaque()


def _raisable(kind: Any, message: str) -> BaseException:
    try:
        error: BaseException = kind(message)
    except TypeError:  # UnicodeDecodeError and its like want more.
        return CandidateError(f"{kind.__name__}: {message}")
    return error


def _change(arguments: tuple[Any, ...], after: Any) -> None:
    """What the candidate did to its arguments in place."""
    if not isinstance(after, list):
        return
    for argument, changed in zip(arguments, after, strict=False):
        if isinstance(argument, list) and isinstance(changed, list):
            argument[:] = changed
        elif isinstance(argument, dict | set) and isinstance(changed, dict | set):
            argument.clear()
            argument.update(changed)


def run_check(request: dict[str, Any], say: Callable[[Any], None]) -> None:
    """Run the check once, and say how it ended and which calls it made."""
    namespace: dict[str, Any] = {"__name__": "check"}
    try:
        exec(compile(request["context"], "<prompt>", "exec", dont_inherit=True), namespace)
        reference = namespace[request["entry_point"]] if request["record"] else None
        exec(compile(request["check"], "<check>", "exec", dont_inherit=True), namespace)
        check = namespace["check"]
    except BaseException as error:
        say(["broken", _told(error), []])
        return
    stand_in = StandIn(request["answers"], reference)
    if not request["has_solution"]:
        namespace[request["entry_point"]] = stand_in
    random.seed(0)
    say(_outcome(check, stand_in))


def _outcome(check: Callable[..., Any], stand_in: StandIn) -> Any:
    try:
        check(stand_in)
    except Unanswered:
        pass
    except BaseException as error:
        if stand_in.unanswered is None:
            return ["raised" if error is stand_in.raised else "refused", _told(error), stand_in.calls]
    if stand_in.unanswered is not None:
        return ["unanswered", stand_in.unanswered, stand_in.calls]
    return ["passed", "", stand_in.calls]


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]


def main(role: Callable[[dict[str, Any], Callable[[Any], None]], None]) -> None:
    """Read the request from standard input; keep standard output for ourselves, whatever the program prints."""
    with os.fdopen(os.dup(1), "w", encoding="ascii") as ours:
        os.dup2(2, 1)

        def say(message: Any) -> None:
            ours.write(json.dumps(message) + "\n")
            ours.flush()

        role(json.load(sys.stdin), say)
