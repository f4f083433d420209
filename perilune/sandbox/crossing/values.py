"""Values on their way from one process to the other, as JSON: a root, and a heap of what it leads to.

A value of a plain kind is copied. What can change (a list, a dict, an instance of a class that both sides have) has a
name that stays, so that it comes back as the same object, with what was changed; shared parts and circles are kept.
Anything else goes by reference. Nothing here recurses: values may be nested as deeply as they like.
"""

from __future__ import annotations

import array
import builtins
import collections
import datetime
import decimal
import enum
import fractions
import importlib
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any

Slot = Any
"""A scalar, ``[kind, …]``, or ``["@", name]`` of what is in the heap or known by that name."""

_SMALL = 2**53
PLAIN_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (int, float, complex, str, bytes, bytearray, bool, list, tuple, dict, set, frozenset, range, slice)
}
PLAIN_TYPES |= {"object": object, "type": type, "NoneType": type(None)}
VIEWS = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
_CONSTANTS: dict[str, Any] = {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}


class Opaque:
    """Stands for what could not be read; equal to nothing but itself."""


class Unreadable(Exception):
    """A message of the other side makes no sense."""


def scalar(value: Any) -> Slot:  # noqa: PLR0911
    """The slot of a value that is complete in itself; None where it is no such value."""
    kind = type(value)
    if kind is bool or kind is str or (kind is int and -_SMALL < value < _SMALL):
        return value
    if kind.__module__ == "numpy":
        return _numpy_scalar(value)
    if isinstance(value, enum.Enum):
        return None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        value = int.__int__(value)
        return value if -_SMALL < value < _SMALL else ["int", hex(value)]
    if isinstance(value, float):
        return ["float", float.__pos__(value).hex()]
    if isinstance(value, complex):
        return ["complex", float(value.real).hex(), float(value.imag).hex()]
    if isinstance(value, bytes | memoryview):
        return ["bytes", bytes(value).hex()]
    return _library_scalar(value)


def _library_scalar(value: Any) -> Slot:  # noqa: PLR0911
    if isinstance(value, decimal.Decimal):
        return ["decimal", decimal.Decimal.__str__(value)]
    if isinstance(value, fractions.Fraction):
        return ["fraction", hex(value.numerator), hex(value.denominator)]
    if isinstance(value, datetime.timedelta):
        return ["timedelta", value.days, value.seconds, value.microseconds]
    if isinstance(value, datetime.datetime | datetime.time):
        if value.tzinfo is not None and not isinstance(value.tzinfo, datetime.timezone):
            return None
        kind = "datetime" if isinstance(value, datetime.datetime) else "time"
        return [kind, value.isoformat(), value.fold]
    if isinstance(value, datetime.date):
        return ["date", value.isoformat()]
    if isinstance(value, datetime.timezone):
        offset = value.utcoffset(None)
        return ["timezone", offset.days, offset.seconds]
    if isinstance(value, uuid.UUID):
        return ["uuid", value.hex]
    for name, constant in _CONSTANTS.items():
        if value is constant:
            return ["constant", name]
    return None


def _numpy_scalar(value: Any) -> Slot:
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic) or value.dtype.hasobject:
        return None
    return ["numpy", value.dtype.str, value.tobytes().hex()]


def read_scalar(kind: str, *parts: Any) -> Any:
    """The value of a slot that :func:`scalar` made, other than text, whole numbers and truth values."""
    makers: dict[str, Callable[..., Any]] = {
        "int": lambda digits: int(digits, 16),
        "float": float.fromhex,
        "complex": lambda real, imaginary: complex(float.fromhex(real), float.fromhex(imaginary)),
        "bytes": bytes.fromhex,
        "decimal": decimal.Decimal,
        "fraction": lambda top, bottom: fractions.Fraction(int(top, 16), int(bottom, 16)),
        "timedelta": datetime.timedelta,
        "datetime": lambda text, fold: datetime.datetime.fromisoformat(text).replace(fold=fold),
        "time": lambda text, fold: datetime.time.fromisoformat(text).replace(fold=fold),
        "date": datetime.date.fromisoformat,
        "timezone": lambda days, seconds: datetime.timezone(datetime.timedelta(days, seconds)),
        "uuid": uuid.UUID,
        "constant": _CONSTANTS.__getitem__,
        "type": _plain_type,
        "numpy": _read_numpy,
    }
    return makers[kind](*parts)


def _plain_type(name: str) -> type:
    if name in PLAIN_TYPES:
        return PLAIN_TYPES[name]
    found = getattr(builtins, name)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise Unreadable(name)
    return found


def _read_numpy(dtype: str, content: str) -> Any:
    return importlib.import_module("numpy").frombuffer(bytes.fromhex(content), dtype)[0]


def type_slot(value: Any) -> Slot:
    """Of a built-in type that any process has; None for others."""
    if isinstance(value, type) and value.__module__ == "builtins":
        name = type.__dict__["__name__"].__get__(value)
        if PLAIN_TYPES.get(name) is value or (
            issubclass(value, BaseException) and getattr(builtins, name, None) is value
        ):
            return ["type", name]
    return None


def library_name(value: Any) -> list[str] | None:
    """Module and name of something in Python's own library, where they lead back to it."""
    home = getattr(value, "__objclass__", None)
    module = value.__name__ if isinstance(value, types.ModuleType) else getattr(home or value, "__module__", None)
    name = "" if isinstance(value, types.ModuleType) else getattr(value, "__qualname__", None)
    if (
        not isinstance(module, str)
        or not isinstance(name, str)
        or module.partition(".")[0] not in sys.stdlib_module_names
    ):
        return None
    try:
        return [module, name] if by_library_name(module, name) is value else None
    except (ImportError, AttributeError):
        return None


def by_library_name(module: str, name: str) -> Any:
    """What :func:`library_name` named."""
    found: Any = importlib.import_module(module)
    for part in filter(None, name.split(".")):
        found = getattr(found, part)
    return found


def immutable(value: Any, slot: Callable[[Any], Slot]) -> list[Any] | None:  # noqa: PLR0911
    """Kind and content of a value that never changes and holds others; None for other kinds."""
    if isinstance(value, tuple):
        fields = getattr(type(value), "_fields", None)
        if isinstance(fields, tuple) and type(value) is not tuple:
            return [
                "named",
                type(value).__name__,
                list(map(str, fields)),
                [slot(item) for item in tuple.__iter__(value)],
            ]
        return ["tuple", [slot(item) for item in tuple.__iter__(value)]]
    if isinstance(value, frozenset):
        return ["frozenset", [slot(item) for item in frozenset.__iter__(value)]]
    if isinstance(value, range):
        return ["range", [slot(value.start), slot(value.stop), slot(value.step)]]
    if isinstance(value, slice):
        return ["slice", [slot(value.start), slot(value.stop), slot(value.step)]]
    if type(value) in VIEWS:
        # A view of two equal values is one of two keys: it comes as the view of a dict that is like its own.
        name = VIEWS[type(value)]
        pairs = [(key, None) for key in value] if name == "keys" else enumerate(value) if name == "values" else value
        return ["view", name, [[slot(key), slot(inner)] for key, inner in pairs]]
    return None


def read_immutable(kind: str, content: list[Any], read: Callable[[Slot], Any], known: Callable[[str], Any]) -> Any:
    """The inverse of :func:`immutable`; ``known`` finds a class of ours by its name."""
    if kind == "named":
        name, fields, items = str(content[0]), tuple(map(str, content[1])), content[2]
        ours = known(name)
        made = ours if getattr(ours, "_fields", None) == fields else _named_tuple(name, fields)
        return made._make([read(item) for item in items])
    if kind == "view":
        name, pairs = content
        view = {read(key): read(inner) for key, inner in pairs}
        return {"keys": view.keys, "values": view.values, "items": view.items}[name]()
    items = [read(item) for item in content[0]]
    if kind in {"range", "slice"}:
        return range(*items) if kind == "range" else slice(*items)
    return tuple(items) if kind == "tuple" else frozenset(items)


IMMUTABLE = frozenset({"tuple", "named", "frozenset", "range", "slice", "view"})
_named: dict[tuple[str, tuple[str, ...]], Any] = {}


def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    if (name, fields) not in _named:
        _named[name, fields] = collections.namedtuple(name, fields)
    return _named[name, fields]


def children(kind: str, content: list[Any]) -> Iterator[Slot]:
    """The slots in an immutable value."""
    if kind == "view":
        for pair in content[1]:
            yield from pair
    else:
        yield from content[-1]


def mutable(value: Any, slot: Callable[[Any], Slot]) -> list[Any] | None:  # noqa: PLR0911
    """Kind and content of a value that can change; None for other kinds. The kinds are those of :data:`MAKERS`."""
    if isinstance(value, list):
        return ["list", [slot(item) for item in list.__iter__(value)]]
    if isinstance(value, dict):
        pairs = [[slot(key), slot(inner)] for key, inner in dict.items(value)]
        if isinstance(value, collections.OrderedDict):
            return ["ordered", pairs]
        if isinstance(value, collections.Counter):
            return ["counter", pairs]
        if isinstance(value, collections.defaultdict):
            return ["default", pairs, slot(value.default_factory)]
        return ["dict", pairs]
    if isinstance(value, set):
        return ["set", [slot(item) for item in set.__iter__(value)]]
    if isinstance(value, collections.deque):
        return ["deque", [slot(item) for item in collections.deque.__iter__(value)], value.maxlen]
    if isinstance(value, bytearray):
        return ["bytearray", bytes(value).hex()]
    if isinstance(value, array.array):
        return ["array", value.typecode, value.tobytes().hex()]
    if isinstance(value, types.SimpleNamespace):
        return ["namespace", [[slot(name), slot(inner)] for name, inner in vars(value).items()]]
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        plain = numpy.asarray(value)
        if plain.dtype.hasobject:
            return ["objects", list(plain.shape), [slot(item) for item in plain.ravel().tolist()]]
        return ["ndarray", plain.dtype.str, list(plain.shape), plain.tobytes().hex()]
    return None


def _new_array(dtype: str, shape: list[int], content: str) -> Any:
    numpy = importlib.import_module("numpy")
    return numpy.frombuffer(bytes.fromhex(content), dtype).reshape(shape).copy()


def _new_objects(shape: list[int], items: list[Any]) -> Any:
    return importlib.import_module("numpy").empty(shape, dtype=object)


MAKERS: dict[str, Callable[..., Any]] = {
    "list": lambda items: [],
    "dict": lambda pairs: {},
    "ordered": lambda pairs: collections.OrderedDict(),
    "counter": lambda pairs: collections.Counter(),
    "default": lambda pairs, factory: collections.defaultdict(),
    "set": lambda items: set(),
    "deque": lambda items, most: collections.deque(maxlen=most),
    "bytearray": lambda content: bytearray(),
    "array": lambda code, content: array.array(code),
    "namespace": lambda pairs: types.SimpleNamespace(),
    "ndarray": _new_array,
    "objects": _new_objects,
}
"""Empty values of each kind, to be filled once all are there."""


def fill(value: Any, content: list[Any], kind: str, read: Callable[[Slot], Any]) -> None:
    """Give a value that can change the content that :func:`mutable` told."""
    if kind == "list":
        value[:] = [read(item) for item in content[0]]
    elif kind in {"set", "deque"}:
        items = [read(item) for item in content[0]]
        value.clear()
        value.update(items) if kind == "set" else value.extend(items)
    elif kind == "bytearray":
        value[:] = bytes.fromhex(content[0])
    elif kind == "array":
        del value[:]
        value.frombytes(bytes.fromhex(content[1]))
    elif kind == "ndarray":
        value[...] = _new_array(*content)
    elif kind == "objects":
        value.ravel()[:] = [read(item) for item in content[1]]
    elif kind == "namespace":
        vars(value).clear()
        vars(value).update({str(read(name)): read(inner) for name, inner in content[0]})
    else:
        pairs = [(read(key), read(inner)) for key, inner in content[0]]
        value.clear()
        for key, inner in pairs:
            value[key] = inner
        if kind == "default":
            value.default_factory = read(content[1])
