"""What one side knows of values that went over or came from there: their names, and how to write and read them."""

from __future__ import annotations

import contextlib
import enum
import gc
import types
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perilune.sandbox.crossing import errors, values
from perilune.sandbox.crossing.values import Slot, Unreadable

Message = dict[str, Any]
_HELD: dict[Any, str] = {list: "list", dict: "dict", set: "set", tuple: "tuple"}
"""The commonest types that hold others, each with its kind."""


class Reference:
    """The base of all that stands for something of the other side."""

    __slots__ = ("_key", "_name", "_peer")
    _key: str
    _name: str
    _peer: Any


def class_digests(names: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Of each class among names, its public methods and what tells one text of them from another."""
    found = {}
    for name, value in names.items():
        if isinstance(value, type) and value.__name__ == name and type(value) in (type, enum.EnumType):
            methods = {key: inner for key, inner in vars(value).items() if isinstance(inner, types.FunctionType)}
            found[name] = {
                key: zlib.crc32(inner.__code__.co_code + repr(inner.__code__.co_names).encode())
                for key, inner in methods.items()
                if not key.startswith("_")
            }
    return found


class Carrier:
    """Writes and reads values.

    Args:
        side: one letter, before the names that this side gives.
        refer: makes what stands for something of the other side, of its name and description.
        describe: what to say of something that goes by reference.
        libraries: whether things of Python's library may be named: the check's side alone is believed in that.
    """

    def __init__(
        self,
        side: str,
        refer: Callable[[str, list[Any]], Any],
        describe: Callable[[Any], list[Any]],
        *,
        libraries: bool,
    ) -> None:
        self._side = side
        self._refer = refer
        self._describe = describe
        self._libraries = libraries
        self._keys: dict[int, str] = {}
        self._objects: dict[str, Any] = {}
        self.shared: dict[str, type] = {}
        """Classes that both sides have, by name: their instances are copied."""

    def share(self, ours: Mapping[str, Any], theirs: Mapping[str, Mapping[str, int]], apart: str) -> None:
        """Find the classes that both sides have: of one name, and with no public method that differs.

        Args:
            ours: names over here.
            theirs: :func:`class_digests` of the other side.
            apart: the class that the task asks for, which stays where it is.
        """
        for name, mine in class_digests(ours).items():
            other = theirs.get(name)
            if name == apart or other is None:
                continue
            if issubclass(ours[name], BaseException) or all(mine.get(key) == value for key, value in other.items()):
                self.shared[name] = ours[name]

    def known(self, key: str) -> Any:
        """What a name stands for."""
        return self._objects[key]

    def hold(self, value: Any) -> str:
        """The lasting name of a value, given now if it has none."""
        key = self._keys.get(id(value))
        if key is None:
            key = f"{self._side}{len(self._keys)}"
            self._remember(key, value)
        return key

    def _remember(self, key: str, value: Any) -> None:
        self._keys[id(value)] = key
        self._objects[key] = value

    def write(self, value: Any) -> Message:
        """A value as a message."""
        writer = _Writer(self)
        root = writer.slot(value)
        with uncollected():
            return {"v": root, "h": writer.heap()}

    def content(self, value: Any, slot: Callable[[Any], Slot]) -> list[Any]:
        """Kind and content of what is in the heap."""
        if (found := values.immutable(value, slot)) is not None or (found := values.mutable(value, slot)) is not None:
            return found
        if isinstance(value, BaseException):
            own = [[slot(name), slot(inner)] for name, inner in vars(value).items() if not name.startswith("_")]
            return ["exception", *errors.describe(value), [slot(item) for item in value.args], own]
        if self.shared.get(type(value).__name__) is type(value):
            return ["instance", type(value).__name__, [[name, slot(inner)] for name, inner in _state(value).items()]]
        if self._libraries and (named := values.library_name(value)) is not None:
            return ["library", *named]
        return ["reference", *self._describe(value)]

    def special_slot(self, value: Any) -> Slot:
        """Of what is no scalar and yet not in the heap: types, members of an enumeration, the other side's own."""
        if isinstance(value, Reference):
            return ["@", value._key]
        if isinstance(value, enum.Enum) and self.shared.get(type(value).__name__) is type(value):
            return ["member", type(value).__name__, value.name]
        if isinstance(value, type):
            if self.shared.get(value.__name__) is value:
                return ["class", value.__name__]
            return values.type_slot(value)
        return None

    def read(self, message: Message) -> Any:
        """The value of a message; Unreadable, or whatever else goes wrong, where it is none."""
        with uncollected():
            return _Reader(self, {str(key): content for key, *content in message["h"]}).value(message["v"])

    def make(self, key: str, content: list[Any]) -> Any:
        """What a name of the other side stands for, empty at first; what had the name before is taken again."""
        kind = content[0]
        if key in self._objects and (kind == "reference" or self._is_like(self._objects[key], content)):
            return self._objects[key]
        if key.startswith(self._side) and (key not in self._objects or kind not in values.MAKERS):
            raise Unreadable(f"{key} was never told")
        if kind in values.MAKERS:
            made = values.MAKERS[kind](*content[1:])
        elif kind == "instance":
            made = object.__new__(self.shared[content[1]])
        elif kind == "library" and not self._libraries:
            made = values.by_library_name(*content[1:])
        elif kind == "reference":
            made = self._refer(key, content[1:])
        else:
            raise Unreadable(f"of the kind {kind}")
        self._remember(key, made)
        return made

    def _is_like(self, value: Any, content: list[Any]) -> bool:
        if content[0] == "instance":
            return self.shared.get(content[1]) is type(value)
        if content[0] in {"ndarray", "objects"}:
            shape = content[2 if content[0] == "ndarray" else 1]
            return list(getattr(value, "shape", ())) == list(shape)
        kind = _HELD.get(type(value)) or (values.mutable(value, lambda inner: None) or [None])[0]
        return bool(kind == content[0])

    def make_error(self, key: str, content: list[Any], read: Callable[[Slot], Any]) -> BaseException:
        """An exception of the other side; our own, where it was ours."""
        if key in self._objects:
            found: BaseException = self._objects[key]
            return found
        _, name, bases, message, arguments, own = content
        kind = errors.error_class(str(name), list(map(str, bases)), self.shared.get(str(name)))
        made: BaseException
        if kind is None:
            made = errors.CandidateError(str(name), str(message))
        else:
            made = errors.make_error(kind, tuple(read(item) for item in arguments), str(message))
        vars(made).update({str(read(attribute)): read(inner) for attribute, inner in own})
        self._remember(key, made)
        return made


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Spare the collector the many small lists of a large value, none of which is garbage."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Writer:
    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._waiting: deque[tuple[str, Any]] = deque()
        self._passing: dict[int, str] = {}  # of what never changes, within this message
        self._told: set[str] = set()
        self._kept: list[Any] = []

    def slot(self, value: Any) -> Slot:
        kind = type(value)
        if kind not in _HELD:
            if value is None or (found := values.scalar(value)) is not None:
                return None if value is None else found
            if (found := self._carrier.special_slot(value)) is not None:
                return found
        if kind is not list and (isinstance(value, tuple | frozenset | range | slice) or kind in values.VIEWS):
            key = self._passing.setdefault(id(value), f"t{len(self._passing)}")
        else:
            key = self._carrier.hold(value)
        if key not in self._told:
            self._told.add(key)
            self._kept.append(value)
            self._waiting.append((key, value))
        return ["@", key]

    def heap(self) -> list[Any]:
        found = []
        while self._waiting:
            key, value = self._waiting.popleft()
            found.append([key, *self._carrier.content(value, self.slot)])
        return found


class _Reader:
    def __init__(self, carrier: Carrier, heap: dict[str, list[Any]]) -> None:
        self._carrier = carrier
        self._heap = heap
        self._made: dict[str, Any] = {}
        late = values.IMMUTABLE | {"exception"}
        for key, content in heap.items():
            if content[0] not in late:
                self._made[key] = carrier.make(key, content)
        for key, content in heap.items():
            if content[0] in late:
                self._build(key)
        self._fill()

    def value(self, slot: Slot) -> Any:
        if not isinstance(slot, list):
            return slot
        kind, *parts = slot
        if kind == "@":
            key = str(parts[0])
            return self._made[key] if key in self._made else self._carrier.known(key)
        if kind == "class":
            return self._carrier.shared[parts[0]]
        if kind == "member":
            return self._carrier.shared[parts[0]][parts[1]]  # type: ignore[index]
        return values.read_scalar(kind, *parts)

    def _build(self, key: str) -> None:
        """Make what never changes, after what it holds."""
        path, looked_into = [key], set[str]()
        while path:
            key = path[-1]
            if key in self._made:
                path.pop()
                continue
            content = self._heap[key]
            inner = content[4] if content[0] == "exception" else values.children(content[0], content[1:])
            missing = [
                slot[1]
                for slot in inner
                if isinstance(slot, list) and slot[0] == "@" and slot[1] not in self._made and slot[1] in self._heap
            ]
            if not missing:
                self._made[key] = self._built(key, content)
            elif key in looked_into:
                raise Unreadable("a tuple holds itself")
            looked_into.add(key)
            path += missing

    def _built(self, key: str, content: list[Any]) -> Any:
        if content[0] == "exception":
            return self._carrier.make_error(key, content, self.value)
        return values.read_immutable(content[0], content[1:], self.value, self._carrier.shared.get)

    def _fill(self) -> None:
        filled = [(key, *content) for key, content in self._heap.items()]
        # What others find by its content comes first: instances, then what holds them, then sets and dicts.
        for key, kind, *content in filled:
            if kind == "instance":
                _give_state(self._made[key], {str(name): self.value(inner) for name, inner in content[1]})
        for hashed in (False, True):
            for key, kind, *content in filled:
                if kind in values.MAKERS and (kind in _HASHED) is hashed:
                    values.fill(self._made[key], content, kind, self.value)


_HASHED = {"set", "dict", "ordered", "counter", "default"}


def _slots(kind: type) -> list[str]:
    found: list[str] = []
    for base in kind.__mro__:
        names = vars(base).get("__slots__", ())
        found += [names] if isinstance(names, str) else list(names)
    return [name for name in found if name not in {"__dict__", "__weakref__"}]


def _state(value: Any) -> dict[str, Any]:
    state = {name: getattr(value, name) for name in _slots(type(value)) if hasattr(value, name)}
    return state | dict(getattr(value, "__dict__", {}))


def _give_state(value: Any, state: dict[str, Any]) -> None:
    """Set attributes past any ``__setattr__``, for the class may be frozen."""
    if hasattr(value, "__dict__"):
        value.__dict__.clear()
    slots = _slots(type(value))
    for name, inner in state.items():
        if name in slots:
            object.__setattr__(value, name, inner)
        else:
            value.__dict__[name] = inner
