"""The system calls of isolation that Python's library does not offer, through ctypes.

Each function raises OSError, with the name of the call, where the kernel refuses. Flags are the kernel's.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Final

from perilune.sandbox.calls import Call, Calls

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_REMOUNT: Final = 32
MS_NOATIME: Final = 1024
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_LOCKED_DOWN = 0x1 | 0x2 | 0x4  # read-only, nosuid, nodev

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

CAP_SYS_ADMIN: Final = 21
CAP_SETUID: Final = 7
CAP_SETGID: Final = 6
_CAPABILITY_VERSION_3 = 0x20080522
_HIGHEST_CAPABILITY = 63

SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER: Final = 8

NO_CAPABILITIES: Final = (struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
"""Arguments of capset."""


def syscall(name: str, *arguments: int | bytes | None) -> int:
    """Any system call of the table, with integers and byte strings for arguments."""
    return Calls([(name, *arguments)]).make()


def unshare(flags: int) -> None:
    """Leave the namespaces named by CLONE_NEW* flags for new ones."""
    syscall("unshare", flags)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system, or change a mount."""
    syscall("mount", source.encode(), target.encode(), kind.encode(), flags, options.encode())


def bind_read_only(source: str, target: str) -> None:
    """Show a file or folder, with all that is mounted below it, at another place: read-only, no set-uid, no devices."""
    mount(source, target, "", MS_BIND | MS_REC)
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_LOCKED_DOWN, 0, 0, 0)
    syscall("mount_setattr", _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, len(attributes))


def bind_device(source: str, target: str) -> None:
    """Show a device node at another place; it can be used, and not be changed."""
    mount(source, target, "", MS_BIND)
    attributes = struct.pack("=QQQQ", 0x2 | 0x8, 0, 0, 0)  # nosuid, noexec
    syscall("mount_setattr", _AT_FDCWD, target.encode(), 0, attributes, len(attributes))


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """Take a mount away."""
    syscall("umount2", target.encode(), flags)


def pivot_root(new: str, old: str) -> None:
    """Make a mount the root folder, and put the former root at ``old``."""
    syscall("pivot_root", new.encode(), old.encode())


def prctl(option: int, *arguments: int) -> int:
    """Change or ask a property of this process."""
    values = [*arguments, 0, 0, 0, 0][:4]
    return syscall("prctl", option, *values)


def capabilities() -> int:
    """This process's effective capabilities as a bit set."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    syscall("capget", header, ctypes.addressof(data))
    low, _, _, high, _, _ = struct.unpack("=6I", data.raw)
    return int(low | high << 32)


def set_capabilities(kept: int) -> None:
    """Keep only these capabilities, permitted and effective; nothing is inheritable."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    syscall("capset", header, struct.pack("=6I", low, low, 0, high, high, 0))


def drop_capability_bounds() -> None:
    """No program that is executed from here on can gain a capability."""
    for number in range(_HIGHEST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError:
            break  # the kernel has no more
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)


class Filter:
    """A seccomp filter, given as BPF instructions."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        self._header = struct.pack("@HP", len(program) // 8, ctypes.addressof(self._code))

    def install(self, flags: int = 0) -> Call:
        """The call that installs it, which gives a listener where the flags ask for one."""
        return ("seccomp", SECCOMP_SET_MODE_FILTER, flags, self._header)

    def install_now(self, flags: int = 0) -> int:
        """Make that call."""
        return Calls([self.install(flags)]).make()
