"""Landlock: which files a process and its children may touch, whom they may signal, and that they reach no network.

Rights grow with the version of the kernel's interface ("ABI"); what an older kernel lacks is covered by the filters in
:mod:`perilune.sandbox.seccomp`, and what neither covers makes the probes fail.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from perilune.sandbox import kernel

_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_RULE_PATH_BENEATH = 1

EXECUTE: Final = 1 << 0
WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
_REMOVE_AND_MAKE: Final = 0x1FF0
_REFER: Final = 1 << 13
TRUNCATE: Final = 1 << 14
_IOCTL_DEVICE: Final = 1 << 15

READ: Final = EXECUTE | READ_FILE | READ_DIR
ALL: Final = READ | WRITE_FILE | TRUNCATE | _REFER | _REMOVE_AND_MAKE & ~(1 << 6 | 1 << 9 | 1 << 11)
"""All but devices and sockets."""
_OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | _IOCTL_DEVICE


def abi() -> int:
    """The version of Landlock that the kernel has, 0 where it has none or keeps it off."""
    try:
        return kernel.syscall("landlock_create_ruleset", None, 0, _VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def _handled(version: int) -> tuple[int, int, int]:
    """File rights, network rights and scopes that a version restrains."""
    files = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, TRUNCATE), (5, _IOCTL_DEVICE)):
        files |= right if version >= since else 0
    network = 0b11 if version >= 4 else 0  # bind and connect
    scopes = 0b11 if version >= 6 else 0  # abstract Unix sockets and signals
    return files, network, scopes


def ruleset(version: int, rules: Iterable[tuple[int, int]]) -> int:
    """A descriptor of rules that allow nothing but these.

    Args:
        version: of Landlock, at most that of the kernel.
        rules: descriptors of files and folders (O_PATH will do), each with the rights in it and below it.
    """
    handled = _handled(version)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    descriptor = kernel.syscall("landlock_create_ruleset", struct.pack("=3Q", *handled)[:size], size, 0)
    for place, rights in rules:
        of_place = rights if stat.S_ISDIR(os.fstat(place).st_mode) else rights & _OF_FILES
        rule = struct.pack("=Qi", of_place & handled[0], place)
        kernel.syscall("landlock_add_rule", descriptor, _RULE_PATH_BENEATH, rule, 0)
    return descriptor


def restrict(descriptor: int) -> None:
    """Put this process and all its children to come under the rules, for good."""
    kernel.syscall("landlock_restrict_self", descriptor, 0)
