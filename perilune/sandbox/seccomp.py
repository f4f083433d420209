"""Which system calls programs may make: two seccomp filters, and the small assembler that they are written in.

The outer filter is an allow-list that the zygote installs on itself once, and that every program inherits; with what
the zygote needs to isolate a run still in it. The inner filter is small, since it is installed for every run: it takes
those last calls away. Calls of another machine's table (32-bit, x32) kill the process.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from perilune.sandbox.syscall_numbers import MACHINE, NUMBERS

_ALLOWED: Final = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "lseek",
    "open",
    "openat",
    "creat",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "flock",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fadvise64",
    "readahead",
    "sendfile",
    "copy_file_range",
    "splice",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "statfs",
    "fstatfs",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "symlink",
    "symlinkat",
    "readlink",
    "readlinkat",
    "truncate",
    "ftruncate",
    "fallocate",
    "umask",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "pipe",
    "pipe2",
    "eventfd",
    "eventfd2",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "shutdown",
    "getsockname",
    "getpeername",
    "getsockopt",
    "mmap",
    "mprotect",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "msync",
    "membarrier",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "getpid",
    "getppid",
    "gettid",
    "getpgid",
    "getpgrp",
    "getsid",
    "setpgid",
    "setsid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "capget",
    "getrlimit",
    "setrlimit",
    "getrusage",
    "getpriority",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "prctl",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "futex",
    "futex_waitv",
    "futex_wake",
    "futex_wait",
    "futex_requeue",
    "restart_syscall",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sigaltstack",
    "pause",
    "alarm",
    "setitimer",
    "getitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "uname",
    "sysinfo",
    "getcpu",
    "getrandom",
]
"""Allowed whatever their arguments; clone, fcntl, ioctl, prlimit64 and socketpair are looked at below."""

_NOT_SUPPORTED: Final = ["getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"]
"""Refused as by a file system that lacks them, which programs such as ls and cp expect."""

_ZYGOTES_OWN: Final = [
    "mount",
    "umount2",
    "seccomp",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "capset",
    "pidfd_open",
    "pidfd_send_signal",
]
"""What isolates a run: allowed by the outer filter, taken away by the inner one."""

_BEYOND_LANDLOCK: Final = [
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "truncate",
    "setsid",
    "setpgid",
    "tkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
]
"""Denied where Landlock stands alone: it does not restrain changes of mode and time, and a run is its process group."""

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_NOTIFY = 0x7FC00000
_REFUSE = 0x00050000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_NEWER_THAN_THE_LIST = 463

_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_ESCAPES = 0x7E020080 | 0x00008000  # every CLONE_NEW* flag, and CLONE_PARENT
_CLONE_THREAD = 0x00010000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032, 1034)  # dup, flags, locks, a pipe's size, seals
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_LISTENER_IOCTL = (0xC0502100, 0xC0182101)  # the zygote's, and nobody else has a listener: receive and send
_PRCTL = (2, 3, 7, 15, 16, 21, 23, 27, 30, 38, 39, 0x53564D41)  # harmless gets, the thread's name, names of mappings
_O_ACCMODE, _O_TRUNC = 3, 0o1000


@dataclass(frozen=True, slots=True)
class Jump:
    """Compare the loaded word; go on at a label, or at the next instruction (None)."""

    kind: str
    value: int
    yes: str | None = None
    no: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Load the word at an offset of the call's description."""

    offset: int


@dataclass(frozen=True, slots=True)
class Mask:
    """Keep these bits of the loaded word."""

    bits: int


@dataclass(frozen=True, slots=True)
class Return:
    """Decide."""

    action: int


@dataclass(frozen=True, slots=True)
class Label:
    """A place to jump to, further down."""

    name: str


Instruction = Jump | Load | Mask | Return | Label
_JUMPS = {"eq": 0x15, "ge": 0x35, "any": 0x45}


def refuse(number: int) -> Return:
    """The call fails with an errno."""
    return Return(_REFUSE | number)


def assemble(instructions: Iterable[Instruction]) -> bytes:
    """Instructions → struct sock_filter[]; ValueError where a jump is too far for the kernel, KeyError for no label."""
    places: dict[str, int] = {}
    code: list[Jump | Load | Mask | Return] = []
    for instruction in instructions:
        if isinstance(instruction, Label):
            places[instruction.name] = len(code)
        else:
            code.append(instruction)
    return b"".join(_encode(index, instruction, places) for index, instruction in enumerate(code))


def _encode(index: int, instruction: Jump | Load | Mask | Return, places: Mapping[str, int]) -> bytes:
    match instruction:
        case Load(offset):
            return struct.pack("=HBBI", 0x20, 0, 0, offset)
        case Mask(bits):
            return struct.pack("=HBBI", 0x54, 0, 0, bits)
        case Return(action):
            return struct.pack("=HBBI", 0x06, 0, 0, action)
        case Jump(kind, value, yes, no):
            steps = [places[label] - index - 1 if label else 0 for label in (yes, no)]
            if not all(0 <= step <= 255 for step in steps):
                raise ValueError(f"a jump of {steps} instructions from {instruction} does not fit in a byte")
            return struct.pack("=HBBI", _JUMPS[kind], *steps, value)


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
    code += _only_values("fcntl", 1, _FCNTL, errno.EPERM)
    code += _only_values("ioctl", 1, [*_IOCTL, *_LISTENER_IOCTL], errno.ENOTTY)
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
    for name in [*_ALLOWED, *_ZYGOTES_OWN]:
        code += _call(name, [Return(_ALLOW)])
    for name in _NOT_SUPPORTED:
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
    for name in _BEYOND_LANDLOCK:
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
    for name in _ZYGOTES_OWN:
        code += _call(name, [refuse(errno.EPERM)])
    return code + _only_values("prctl", 0, _PRCTL, errno.EPERM)
