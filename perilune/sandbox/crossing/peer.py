"""One of the two processes: asks the other, and answers it, in turns that nest as calls do."""

from __future__ import annotations

import inspect
import json
import os
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from perilune.sandbox.crossing import errors
from perilune.sandbox.crossing.carrier import Carrier, Message, Reference, uncollected
from perilune.sandbox.crossing.references import (
    ASKED,
    BINARY,
    RemoteIterator,
    remote_function,
    remote_generator,
    stand_in,
)
from perilune.sandbox.crossing.values import MAKERS

_ONE_BY_ONE = 32
_LOT, _LOT_SECONDS = 1024, 0.002


class Lost(BaseException):
    """The other side is gone, or makes no sense: there will be no further answer."""


class Peer:
    """The way to the other side.

    Args:
        side: ``"c"`` for the check's side, ``"p"`` for the program's.
        heard: what the other side says.
        spoken: a descriptor for what is said to it.
        longest: bytes of one message.
    """

    def __init__(self, side: str, heard: BinaryIO, spoken: int, longest: int) -> None:
        self._heard = heard
        self._spoken = spoken
        self._longest = longest
        self._lock = threading.RLock()
        self._is_check = side == "c"
        self.carrier = Carrier(side, self._refer, _described, libraries=self._is_check)
        self._steps: dict[str, int] = {}
        self._trusted: set[str] = set()
        self._returned: set[str] = set()
        self.calls = 0
        """Asked for so far."""
        self.lost = ""
        """Why there is no answer any more."""
        self.asked_for: Reference | None = None
        """The class that the task asks for, where it asks for one."""
        self.meant: Callable[[BaseException], BaseException] = lambda error: error
        """What to raise for an exception that a call over there raised."""
        self.printed: Callable[[str], None] = lambda text: None
        """Given what the other side printed."""
        self.take_printed: Callable[[], str] = lambda: ""
        """What was printed here since it was last asked."""
        self.failed: BaseException | None = None
        """An assertion that failed in a function which the check passed to the program."""

    # What is said and heard.

    def say(self, message: Any) -> None:
        """Send a message, whole."""
        data = memoryview(json.dumps(message).encode("ascii") + b"\n")
        try:
            while data:
                data = data[os.write(self._spoken, data) :]
        except OSError as error:
            raise self._lose(f"it does not listen: {error}") from None

    def hear(self) -> Any:
        """The next message; Lost at the end."""
        line = self._heard.readline(self._longest)
        if not line.endswith(b"\n"):
            raise self._lose("a value is too long to be told" if line else "it has ended")
        try:
            with uncollected():
                return json.loads(line)
        except (ValueError, RecursionError):
            raise self._lose("it says what makes no sense") from None

    def _lose(self, reason: str) -> Lost:
        self.lost = self.lost or reason
        return Lost(self.lost)

    def serve(self) -> None:
        """Answer until the other side has ended."""
        while True:
            with self._lock:
                asked = self.hear()
            answer = self._answer(asked)
            with self._lock:
                self.say(answer)

    # What this side asks.

    def ask(self, question: str, *parts: Any) -> Any:
        """Ask, answer what is asked meanwhile, and return the answer or raise what was raised over there."""
        with self._lock:
            if self.lost:
                raise Lost(self.lost)
            self.say([question, self.carrier.write(parts)])
            while True:
                kind, message, *printed = self._shaped(self.hear())
                if kind in {"value", "error"}:
                    break
                self.say(self._answer([kind, message]))
            if printed:
                self.printed(str(printed[0]))
            found = self._read(message)
        if kind == "error":
            error = found if isinstance(found, BaseException) else errors.CandidateError("Exception", str(found))
            raise self.meant(error) if question == "call" else error
        return found

    def _shaped(self, message: Any) -> list[Any]:
        if isinstance(message, list) and len(message) in (2, 3) and isinstance(message[0], str):
            return message
        raise self._lose("it says what makes no sense")

    def _read(self, message: Message) -> Any:
        try:
            return self.carrier.read(message)
        except MemoryError:
            raise
        except Exception as error:
            raise self._lose(f"a value makes no sense: {error!r}") from None

    def call(self, function: Reference, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call something over there; what it changes of the arguments is changed here too."""
        self.calls += 1
        result, _ = self.ask("call", function, arguments, tuple(named.items()))
        makes = function is self.asked_for
        if isinstance(result, Reference):
            if makes and result._key not in self._returned:
                self._trusted.add(result._key)
            else:
                self._show(result)
        return result

    def special(self, reference: Reference, name: str, arguments: tuple[Any, ...]) -> Any:
        """Call a special method."""
        if name == "__exit__":
            arguments = (*arguments[:2], None)  # a traceback is of this side alone
        result, _ = self.ask("special", reference, name, arguments)
        if isinstance(result, Reference):
            if name in BINARY and self.trusts(reference) and result._key not in self._returned:
                self._trusted.add(result._key)
            elif result._key != reference._key:
                self._show(result)
        return result

    def _show(self, result: Reference) -> None:
        self._returned.add(result._key)
        self._trusted.discard(result._key)

    def get(self, reference: Reference, name: str) -> Any:
        """An attribute."""
        return self.ask("get", reference, name)

    def change(self, reference: Reference, name: str, *value: Any) -> None:
        """Set an attribute, or remove it."""
        self.ask("change", reference, name, value)

    def is_instance(self, value: Any, kind: Reference) -> bool:
        """Whether a value is an instance of a class over there."""
        return isinstance(value, Reference) and self.ask("isinstance", value, kind) is True

    def step(self, reference: Reference, sent: Any) -> tuple[list[Any], bool]:
        """The next items of an iterator over there, and whether it is at its end."""
        items, ended = self.ask("step", reference, sent)
        return list(items), bool(ended)

    def trusts(self, reference: Reference) -> bool:
        """Whether operators may show it values of ours; the program's side has nothing to hide."""
        return not self._is_check or reference._key in self._trusted

    def _refer(self, key: str, description: list[Any]) -> Any:
        kind, name, special, parameters = description
        if kind == "generator":
            return remote_generator(self, key, str(name))
        if kind == "iterator":
            return RemoteIterator(self, key, str(name))
        if kind == "coroutine":
            return self._awaited(stand_in(self, key, str(name), []))
        if kind == "function" and not self._is_check:
            return remote_function(self, key, str(name), parameters)
        return stand_in(self, key, str(name), [str(one) for one in special])

    async def _awaited(self, reference: Reference) -> Any:
        return self.ask("await", reference)

    # What this side answers.

    def _answer(self, asked: Any) -> list[Any]:
        try:
            question, message = self._shaped(asked)[:2]
            parts = self._read(message)
            found = getattr(self, f"_do_{question}")(message, *parts)
            answer = ["value", self.carrier.write(found)]
        except Lost:
            raise
        except BaseException as error:
            if isinstance(error, AssertionError) and self._is_check:
                self.failed = self.failed or error
            answer = ["error", self._error(error)]
        printed = self.take_printed()
        return [*answer, printed] if printed else answer

    def _error(self, error: BaseException) -> Message:
        try:
            return self.carrier.write(error)
        except BaseException:
            return self.carrier.write(RuntimeError(type(error).__name__))

    def _do_call(self, message: Message, function: Any, arguments: Any, named: Any) -> tuple[Any, Any]:
        result = function(*arguments, **dict(named))
        return result, self._changes(message, (function, arguments, named))

    def _changes(self, message: Message, parts: Any) -> Any:
        """The parts of a question again, where anything that they hold has changed."""
        before = _changeable(message)
        if not before:
            return None
        return parts if _changeable(self.carrier.write(parts)) != before else None

    def _do_special(self, message: Message, target: Any, name: str, arguments: Any) -> tuple[Any, Any]:
        if name not in ASKED:
            raise AttributeError(name)
        method = getattr(type(target), name)
        return method(target, *arguments), self._changes(message, (target, name, arguments))

    def _do_get(self, message: Message, target: Any, name: str) -> Any:
        self._check_name(name)
        return getattr(target, name)

    def _do_change(self, message: Message, target: Any, name: str, value: Any) -> None:
        self._check_name(name)
        if value:
            setattr(target, name, value[0])
        else:
            delattr(target, name)

    def _check_name(self, name: str) -> None:
        # Of the check's objects the program sees what is meant to be seen.
        if self._is_check and name.startswith("_"):
            raise AttributeError(name)

    def _do_isinstance(self, message: Message, value: Any, kind: Any) -> bool:
        return isinstance(value, kind)

    def _do_await(self, message: Message, target: Any) -> Any:
        import asyncio

        return asyncio.run(target)

    def _do_step(self, message: Message, target: Any, sent: Any) -> tuple[Any, bool]:
        key = self.carrier.hold(target)
        done = self._steps[key] = self._steps.get(key, 0) + 1
        most = 1 if done <= _ONE_BY_ONE else _LOT
        deadline = time.monotonic() + _LOT_SECONDS
        items: list[Any] = []
        while len(items) < most and (not items or time.monotonic() < deadline):
            try:
                items.append(next(target) if sent is None else target.send(sent))
            except StopIteration:
                return tuple(items), True
            sent = None
        return tuple(items), False


def _changeable(message: Message) -> list[Any]:
    """What of a message is of kinds that can change."""
    return [content for content in message["h"] if content[1] in MAKERS or content[1] == "instance"]


def _described(value: Any) -> list[Any]:
    """What a stand-in needs to know of a value: its kind, a name, its special methods, a function's parameters."""
    if inspect.iscoroutine(value):
        return ["coroutine", value.__name__, [], []]
    if isinstance(value, types.GeneratorType):
        return ["generator", value.__name__, [], []]
    kind = type(value)
    if isinstance(value, Iterator) and kind.__module__ in {"builtins", "itertools"}:
        return ["iterator", kind.__name__, [], []]
    if isinstance(value, types.FunctionType):
        return ["function", value.__name__, ["__call__"], _parameters(value)]
    name = getattr(value, "__name__", None) if callable(value) else None
    special = [one for one in ASKED if getattr(kind, one, None) not in (None, getattr(object, one, None))]
    return ["object", name if isinstance(name, str) else kind.__name__, special, []]


def _parameters(function: types.FunctionType) -> list[list[Any]]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [["args", 2, False], ["kwargs", 4, False]]
    return [[one.name, int(one.kind), one.default is not one.empty] for one in found]
