"""The two seccomp filters that hold programs to their system calls.

The outer filter is an allow-list that the zygote installs on itself once, and that every program inherits; with what
the zygote needs to isolate a run still in it. The inner filter is small, since it is installed for every run: it takes
those last calls away. Calls of another machine's table (32-bit, x32) kill the process.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from perilune.sandbox.allowed_calls import (
    ALLOWED,
    BEYOND_LANDLOCK,
    FCNTL,
    IOCTL,
    LISTENER_IOCTL,
    NOT_SUPPORTED,
    PRCTL,
    ZYGOTES_OWN,
)
from perilune.sandbox.bpf import Instruction, Jump, Label, Load, Mask, Return, assemble
from perilune.sandbox.syscall_numbers import MACHINE, NUMBERS

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_NOTIFY = 0x7FC00000
_REFUSE = 0x00050000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_NEWER_THAN_THE_LIST = 463

_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_ESCAPES = 0x7E020080 | 0x00008000  # every CLONE_NEW* flag, and CLONE_PARENT
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_O_ACCMODE, _O_TRUNC = 3, 0o1000


def refuse(number: int) -> Return:
    """The call fails with an errno."""
    return Return(_REFUSE | number)


def _argument(index: int) -> Load:
    return Load(_ARGUMENT + 8 * index)


def _foreign_architecture() -> list[Instruction]:
    code: list[Instruction] = [
        Load(_ARCHITECTURE),
        Jump("eq", _ARCHITECTURES[MACHINE], yes="ours"),
        Return(_KILL_PROCESS),
        Label("ours"),
        Load(_NUMBER),
    ]
    if MACHINE == "x86_64":
        code += [Jump("ge", _X32_BIT, no="native"), Return(_KILL_PROCESS), Label("native")]
    return code


def _call(name: str, body: list[Instruction]) -> list[Instruction]:
    """The body decides about a call; all other calls pass by."""
    if name not in NUMBERS:
        return []
    return [Jump("eq", NUMBERS[name], no=f"not {name}"), *body, Label(f"not {name}")]


def _only_values(name: str, argument: int, values: Iterable[int], error: int) -> list[Instruction]:
    tests: list[Instruction] = [Jump("eq", value, yes=f"good {name}") for value in values]
    body = [_argument(argument), *tests, refuse(error), Label(f"good {name}"), Return(_ALLOW)]
    return _call(name, body)


def outer_filter() -> bytes:
    """The allow-list, for the zygote and all that comes from it."""
    code = _foreign_architecture()
    no_escape: list[Instruction] = [_argument(0), Jump("any", _CLONE_ESCAPES, no="plain clone"), refuse(errno.EPERM)]
    code += _call("clone", [*no_escape, Label("plain clone"), Return(_ALLOW)])
    # The C library takes ENOSYS for a sign to use clone, whose flags can be seen.
    code += _call("clone3", [refuse(errno.ENOSYS)])
    code += _only_values("fcntl", 1, FCNTL, errno.EPERM)
    code += _only_values("ioctl", 1, [*IOCTL, *LISTENER_IOCTL], errno.ENOTTY)
    code += _only_values("prlimit64", 0, [0], errno.EPERM)
    stream: list[Instruction] = [
        _argument(0),
        Jump("eq", _AF_UNIX, no="bad pair"),
        _argument(1),
        Mask(_SOCK_TYPE),
        # A datagram socket could be used to write to a socket of the host that has a name in the file system.
        Jump("eq", _SOCK_STREAM, yes="good pair"),
        Label("bad pair"),
        refuse(errno.EPERM),
        Label("good pair"),
        Return(_ALLOW),
    ]
    code += _call("socketpair", stream)
    for name in [*ALLOWED, *ZYGOTES_OWN]:
        code += _call(name, [Return(_ALLOW)])
    for name in NOT_SUPPORTED:
        code += _call(name, [refuse(errno.EOPNOTSUPP)])
    newer: list[Instruction] = [Jump("ge", _NEWER_THAN_THE_LIST, no="known"), refuse(errno.ENOSYS), Label("known")]
    return assemble([*code, *newer, refuse(errno.EPERM)])


def inner_filter() -> bytes:
    """What a run loses beside the zygote that it was forked from, in namespaces."""
    return assemble([Load(_NUMBER), *_without_zygotes_own(), Return(_ALLOW)])


def inner_filter_alone(own_pid: int) -> bytes:
    """The same where Landlock stands alone: the run is one process group of ``own_pid``, and signals stay in it.

    New processes and threads are counted by the zygote, which the kernel asks (a seccomp notification).
    """
    code: list[Instruction] = [Load(_NUMBER), *_without_zygotes_own()]
    for name in BEYOND_LANDLOCK:
        code += _call(name, [refuse(errno.EPERM)])
    # To itself, or to its group, which kill() knows as 0 too.
    code += _only_values("kill", 0, [own_pid, 0, 0x100000000 - own_pid], errno.EPERM)
    code += _only_values("tgkill", 0, [own_pid], errno.EPERM)
    for name, flags in (("open", 1), ("openat", 2)):
        truncating: list[Instruction] = [
            _argument(flags),
            Mask(_O_ACCMODE | _O_TRUNC),
            # Opened for reading, and emptied: Landlock knows of that only since its third version.
            Jump("eq", _O_TRUNC, no=f"keeps {name}"),
            refuse(errno.EACCES),
            Label(f"keeps {name}"),
            Return(_ALLOW),
        ]
        code += _call(name, truncating)
    for name in ("clone", "fork", "vfork"):
        code += _call(name, [Return(_NOTIFY)])
    return assemble([*code, Return(_ALLOW)])


def _without_zygotes_own() -> list[Instruction]:
    code: list[Instruction] = []
    for name in ZYGOTES_OWN:
        code += _call(name, [refuse(errno.EPERM)])
    return code + _only_values("prctl", 0, PRCTL, errno.EPERM)
