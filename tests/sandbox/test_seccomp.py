import errno
import os
import struct
import subprocess
import sys

import pytest

from perilune.sandbox import seccomp
from perilune.sandbox.seccomp import inner_filter, outer_filter, refuse
from perilune.sandbox.syscall_numbers import MACHINE, NUMBERS

ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[MACHINE]


def decide(
    program: bytes, name: str, *arguments: int, number: int | None = None, architecture: int = ARCHITECTURE
) -> int:
    """What a filter decides: a small machine of our own, that reads what the kernel is given."""
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    number = NUMBERS[name] if number is None else number
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(word & (1 << 64) - 1 for word in words))
    code = [struct.unpack_from("=HBBI", program, 8 * index) for index in range(len(program) // 8)]
    place = value = 0
    while True:
        operation, yes, no, operand = code[place]
        place += 1
        if operation == 0x20:
            value = struct.unpack_from("=I", data, operand)[0]
        elif operation == 0x54:
            value &= operand
        elif operation == 0x06:
            return operand
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[operation]
            place += yes if holds else no


@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [
        ("read", (0, 0, 1), ALLOW),
        ("unshare", (0x10000000,), seccomp.refuse(errno.EPERM).action),
        ("ptrace", (16, 1), refuse(errno.EPERM).action),
        ("socket", (2, 1, 0), refuse(errno.EPERM).action),
        ("clone", (17,), ALLOW),
        ("clone", (0x10000000 | 17,), refuse(errno.EPERM).action),
        ("clone", (0x8000 | 17,), refuse(errno.EPERM).action),
        ("clone", (0x003D0F00,), ALLOW),  # a thread of the C library
        ("clone3", (0,), refuse(errno.ENOSYS).action),
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (1, 0x80001, 0), ALLOW),  # close-on-exec
        ("socketpair", (1, 2, 0), refuse(errno.EPERM).action),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (4321, 7), refuse(errno.EPERM).action),
        ("fcntl", (0, 8), refuse(errno.EPERM).action),  # F_SETOWN
        ("fcntl", (0, 3), ALLOW),
        ("ioctl", (0, 0x5412), refuse(errno.ENOTTY).action),  # TIOCSTI
        ("mount", (), ALLOW),  # the zygote's own: the inner filter takes it away
    ],
)
def test_the_outer_filter(name: str, arguments: tuple[int, ...], verdict: int) -> None:
    if name in NUMBERS:
        assert decide(outer_filter(), name, *arguments) == verdict


def test_numbers_that_are_not_known_are_refused() -> None:
    assert decide(outer_filter(), "", number=400) == refuse(errno.EPERM).action
    assert decide(outer_filter(), "", number=500) == refuse(errno.ENOSYS).action


def test_other_tables_of_calls_are_deadly() -> None:
    assert decide(outer_filter(), "read", architecture=0x40000003) == KILL  # 32-bit x86
    if MACHINE == "x86_64":
        assert decide(outer_filter(), "", number=0x40000000) == KILL  # x32


@pytest.mark.parametrize("name", ["mount", "umount2", "seccomp", "landlock_restrict_self", "capset", "pidfd_open"])
def test_the_inner_filters_take_the_zygotes_calls_away(name: str) -> None:
    assert decide(inner_filter(), name) == refuse(errno.EPERM).action
    assert decide(seccomp.inner_filter_alone(77), name) == refuse(errno.EPERM).action


def test_alone_signals_stay_in_the_run() -> None:
    program = seccomp.inner_filter_alone(77)
    refused = refuse(errno.EPERM).action
    assert [decide(program, "kill", pid & 0xFFFFFFFF) for pid in (77, 0, -77, 1, -1, 78, -78)] == [
        *[ALLOW] * 3,
        *[refused] * 4,
    ]
    assert decide(program, "tgkill", 77) == ALLOW
    assert decide(program, "tgkill", 78) == refused
    assert decide(program, "chmod") == refused if "chmod" in NUMBERS else True


def test_alone_new_processes_are_asked_for_and_reading_empties_nothing() -> None:
    program = seccomp.inner_filter_alone(77)
    assert decide(program, "clone", 17) == 0x7FC00000
    assert decide(program, "openat", 0, 0, os.O_RDONLY) == ALLOW
    assert decide(program, "openat", 0, 0, os.O_RDONLY | os.O_TRUNC) == refuse(errno.EACCES).action
    assert decide(program, "openat", 0, 0, os.O_WRONLY | os.O_TRUNC) == ALLOW  # Landlock's to decide


def test_the_kernel_takes_the_filter_and_it_holds() -> None:
    code = """
import os, socket
from perilune.sandbox import kernel, seccomp
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
kernel.Filter(seccomp.outer_filter()).install_now()
try:
    socket.socket()
except PermissionError:
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
