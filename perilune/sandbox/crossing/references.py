"""Stand-ins for what stays on the other side: each asks there for whatever is done with it.

What a stand-in does with a value of the check's own is bounded, so that no object can say of itself that it is right:
compared with such a value, it is never equal, less or more; and unless the check made it by calling the class that the
task asks for, no operator shows it such a value at all.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from perilune.sandbox.crossing.carrier import Reference

COMPARE = ("__lt__", "__le__", "__gt__", "__ge__")
BINARY = tuple(
    f"__{prefix}{name}__"
    for name in (
        "add sub mul truediv floordiv mod divmod pow matmul lshift rshift and or xor".split()  # noqa: SIM905
    )
    for prefix in ("", "r", "i")
    if (prefix, name) != ("i", "divmod")
)
OTHER = (
    *("__len__", "__str__", "__repr__", "__bool__", "__int__", "__float__", "__index__", "__complex__", "__abs__"),
    *("__neg__", "__pos__", "__invert__", "__round__", "__trunc__", "__floor__", "__ceil__", "__format__", "__iter__"),
    *("__next__", "__reversed__", "__getitem__", "__setitem__", "__delitem__", "__enter__", "__exit__", "__missing__"),
)
ASKED = frozenset({*COMPARE, *BINARY, *OTHER, "__eq__", "__hash__", "__contains__", "__call__"})
"""The special methods that the other side may be asked for."""


class Asked(Protocol):
    """Who carries the questions over."""

    def special(self, reference: Reference, name: str, arguments: tuple[Any, ...]) -> Any:
        """Call a special method of what a stand-in stands for."""

    def call(self, function: Reference, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call what a stand-in stands for."""

    def get(self, reference: Reference, name: str) -> Any:
        """An attribute of it."""

    def change(self, reference: Reference, name: str, *value: Any) -> None:
        """Set an attribute of it, or remove it."""

    def is_instance(self, value: Any, kind: Reference) -> bool:
        """Whether a value is an instance of the class that a stand-in stands for."""

    def step(self, reference: Reference, sent: Any) -> tuple[list[Any], bool]:
        """The next items of an iterator, and whether it is at its end."""

    def trusts(self, reference: Reference) -> bool:
        """Whether operators may show it values of ours."""


class StandIn(Reference):
    """Stands for an object of the other side."""

    __slots__ = ()

    def __init__(self, peer: Asked, key: str, name: str) -> None:
        for attribute, value in (("_peer", peer), ("_key", key), ("_name", name)):
            object.__setattr__(self, attribute, value)

    def __getattr__(self, name: str) -> Any:
        if name in {"__name__", "__qualname__"}:
            return self._name
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._peer.get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.change(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._peer.change(self, name)

    def __instancecheck__(self, value: Any) -> bool:
        return bool(self._peer.is_instance(value, self))


def _asking(name: str) -> Callable[..., Any]:
    def ask(self: StandIn, *arguments: Any) -> Any:
        return self._peer.special(self, name, arguments)

    return ask


def _operator(name: str) -> Callable[..., Any]:
    def operate(self: StandIn, other: Any, *more: Any) -> Any:
        if not (isinstance(other, StandIn) or self._peer.trusts(self)):
            return NotImplemented
        return self._peer.special(self, name, (other, *more))

    return operate


def _comparison(name: str) -> Callable[..., Any]:
    def compare(self: StandIn, other: Any) -> Any:
        return self._peer.special(self, name, (other,)) if isinstance(other, StandIn) else NotImplemented

    return compare


def _equal(self: StandIn, other: Any) -> Any:
    if not isinstance(other, StandIn):
        return NotImplemented
    trusted = self._peer.trusts(self) and self._peer.trusts(other)
    return self is other or (trusted and self._peer.special(self, "__eq__", (other,)))


def _hash(self: StandIn) -> int:
    return int(self._peer.special(self, "__hash__", ())) if self._peer.trusts(self) else id(self)


def _identity(self: StandIn) -> int:
    return id(self)


def _contains(self: StandIn, item: Any) -> bool:
    if self._peer.trusts(self):
        return bool(self._peer.special(self, "__contains__", (item,)))
    return any(one is item or one == item for one in iter(self))


def _call(self: StandIn, *arguments: Any, **named: Any) -> Any:
    return self._peer.call(self, arguments, named)


_MADE: dict[tuple[str, frozenset[str]], type[StandIn]] = {}
_METHODS: dict[str, Callable[..., Any]] = {
    **{name: _asking(name) for name in OTHER},
    **{name: _operator(name) for name in BINARY},
    **{name: _comparison(name) for name in COMPARE},
    **{"__eq__": _equal, "__hash__": _hash, "__contains__": _contains, "__call__": _call},
}


def stand_in(peer: Asked, key: str, name: str, special: list[str]) -> StandIn:
    """What stands for an object of the other side.

    Args:
        peer: who is asked.
        key: its name.
        name: that of its class, or its own where it is a function or a class.
        special: the special methods that it has; others are left out.
    """
    methods = frozenset(special) & ASKED
    kind = _MADE.get((name, methods))
    if kind is None:
        body: dict[str, Any] = {"__slots__": (), **{method: _METHODS[method] for method in methods}}
        if "__eq__" in body:
            body.setdefault("__hash__", _hash if "__hash__" in methods else _identity)
        kind = _MADE[name, methods] = type(name, (StandIn,), body)
    return kind(peer, key, name)


class RemoteIterator(Reference):
    """Stands for an iterator of the other side; items come one by one at first, later in small lots."""

    __slots__ = ("_ended", "_items")

    def __init__(self, peer: Asked, key: str, name: str) -> None:
        self._peer, self._key, self._name = peer, key, name
        self._items: list[Any] = []
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._items and not self._ended:
            items, self._ended = self._peer.step(self, None)
            self._items = items[::-1]
        if not self._items:
            raise StopIteration
        return self._items.pop()


class _Generator(Reference):
    __slots__ = ()


def remote_generator(peer: Asked, key: str, name: str) -> Generator[Any, Any, None]:
    """A generator over here that goes through one over there."""
    reference = _Generator()
    reference._peer, reference._key, reference._name = peer, key, name

    def go_through() -> Generator[Any, Any, None]:
        items, ended = peer.step(reference, None)
        while True:
            sent = None
            for item in items:
                sent = yield item
            if ended:
                return
            items, ended = peer.step(reference, sent)

    return go_through()


_UNSET: Any = object()


def remote_function(peer: Asked, key: str, name: str, parameters: list[list[Any]]) -> Callable[..., Any]:
    """A function of the given parameters (name, kind, whether it has a default) that calls the one over there."""
    reference = stand_in(peer, key, name, ["__call__"])
    names = [parameter[0] for parameter in parameters]
    if not all(one.isidentifier() and not keyword.iskeyword(one) and one != "_go" for one in names):
        parameters = [["args", 2, False], ["kwargs", 4, False]]
    words, star = [], False
    for parameter, kind, default in parameters:
        if kind == 3 and not star:
            words.append("*")
            star = True
        star = star or kind == 2
        words.append({2: "*", 4: "**"}.get(kind, "") + parameter + ("=_UNSET" if default else ""))
    positional = [f"*{p}" if kind == 2 else f"*_given({p})" for p, kind, _ in parameters if kind < 3]
    named = [f"**{p}" if kind == 4 else f"**_given_as({p!r}, {p})" for p, kind, _ in parameters if kind >= 3]
    text = f"def made({', '.join(words)}):\n    return _go({', '.join([*positional, *named])})\n"
    scope: dict[str, Any] = {"_go": reference, "_UNSET": _UNSET, "_given": _given, "_given_as": _given_as}
    exec(text, scope)
    made: Callable[..., Any] = scope["made"]
    made.__name__ = made.__qualname__ = name
    return made


def _given(value: Any) -> tuple[Any, ...]:
    return () if value is _UNSET else (value,)


def _given_as(name: str, value: Any) -> dict[str, Any]:
    return {} if value is _UNSET else {name: value}
