"""A program that tries to get out: run in the sandbox before anything else is, and its word on each attempt is read.

It is a text of its own, run as any program is, and imports nothing of Perilune. Its input says what there is to reach;
it prints, as JSON, what it reached.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_X86 = platform.machine() == "x86_64"


class Escaped(Exception):
    """An attempt had success."""


def expect(refused: bool, what: str) -> None:
    """Say that an attempt had success."""
    if not refused:
        raise Escaped(what)


def call(x86_64: int, aarch64: int, *arguments: Any) -> None:
    """Make a system call that must be refused."""
    result = _libc.syscall(ctypes.c_long(x86_64 if _X86 else aarch64), *arguments)
    expect(result < 0, f"system call {x86_64} gave {result}")


def read_secret(facts: dict[str, Any]) -> None:
    with open(facts["secret"]) as file:
        raise Escaped(file.read())


def read_relative(facts: dict[str, Any]) -> None:
    with open("../" * 20 + facts["secret"].lstrip("/")) as file:
        raise Escaped(file.read())


def list_folder(facts: dict[str, Any]) -> None:
    raise Escaped(str(os.listdir(os.path.dirname(facts["secret"]))))


def write_beside_secret(facts: dict[str, Any]) -> None:
    with open(facts["secret"] + ".written", "w") as file:
        file.write("x")
    raise Escaped("wrote")


def append_to_secret(facts: dict[str, Any]) -> None:
    with open(facts["secret"], "a") as file:
        file.write("x")
    raise Escaped("appended")


def truncate_secret(facts: dict[str, Any]) -> None:
    os.truncate(facts["secret"], 0)
    raise Escaped("truncated")


def truncate_by_opening(facts: dict[str, Any]) -> None:
    os.open(facts["secret"], os.O_RDONLY | os.O_TRUNC)
    raise Escaped("emptied")


def change_mode(facts: dict[str, Any]) -> None:
    os.chmod(facts["secret"], 0o777)
    raise Escaped("changed mode")


def change_time(facts: dict[str, Any]) -> None:
    os.utime(facts["secret"], (0, 0))
    raise Escaped("changed time")


def remove_secret(facts: dict[str, Any]) -> None:
    os.unlink(facts["secret"])
    raise Escaped("removed")


def link_secret(facts: dict[str, Any]) -> None:
    os.link(facts["secret"], "here")
    raise Escaped("linked")


def write_system(facts: dict[str, Any]) -> None:
    with open("/usr/lib/perilune-canary", "w"):
        raise Escaped("wrote to /usr/lib")


def connect_loopback(facts: dict[str, Any]) -> None:
    socket.create_connection(("127.0.0.1", facts["port"]), timeout=1)
    raise Escaped("connected")


def connect_unix(facts: dict[str, Any]) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(facts["unix"])
    raise Escaped("connected")


def send_through_pair(facts: dict[str, Any]) -> None:
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendto(b"x", facts["unix"])
    raise Escaped("sent")


def signal_outside(facts: dict[str, Any]) -> None:
    os.kill(facts["sentinel"], signal.SIGKILL)
    raise Escaped("signalled")


def signal_parent(facts: dict[str, Any]) -> None:
    # In a process namespace the first process cannot be killed, and the call says nothing: what counts is whether the
    # worker survives, which is looked at from outside.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        os.kill(os.getppid(), number)


def trace_parent(facts: dict[str, Any]) -> None:
    call(101, 117, 16, os.getppid(), 0, 0)
    call(101, 117, 16, facts["sentinel"], 0, 0)


def read_parents_memory(facts: dict[str, Any]) -> None:
    for pid in (os.getppid(), facts["sentinel"]):
        for name in ("mem", "environ", "maps", "cmdline"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    file.read(1)
            except OSError:
                continue
            raise Escaped(f"opened {name} of {pid}")


def steal_descriptor(facts: dict[str, Any]) -> None:
    call(434, 434, os.getppid(), 0)  # pidfd_open


def limit_parent(facts: dict[str, Any]) -> None:
    resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))
    raise Escaped("limited")


def mount(facts: dict[str, Any]) -> None:
    call(165, 40, b"tmpfs", b"/tmp", b"tmpfs", 0, None)


def unmount(facts: dict[str, Any]) -> None:
    call(166, 39, b"/tmp", 2)


def new_namespaces(facts: dict[str, Any]) -> None:
    for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000):
        call(272, 97, flag)


def clone_into_namespace(facts: dict[str, Any]) -> None:
    call(56, 220, 0x10000000 | 17, None, None, None, None)


def chroot(facts: dict[str, Any]) -> None:
    os.chroot("/usr")
    raise Escaped("changed root")


def become_root(facts: dict[str, Any]) -> None:
    os.setuid(0)
    raise Escaped("is root")


def have_capabilities(facts: dict[str, Any]) -> None:
    header = ctypes.create_string_buffer(b"\x22\x05\x08\x20" + bytes(4), 8)
    data = ctypes.create_string_buffer(24)
    _libc.syscall(ctypes.c_long(125 if _X86 else 90), header, data)
    expect(not any(data.raw), f"capabilities {data.raw.hex()}")


def rarely_used_calls(facts: dict[str, Any]) -> None:
    numbers = {
        "socket": (41, 198), "connect": (42, 203), "memfd_create": (319, 279), "io_uring_setup": (425, 425),
        "bpf": (321, 280), "perf_event_open": (298, 241), "add_key": (248, 217), "keyctl": (250, 219),
        "userfaultfd": (323, 282), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
        "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272), "shmget": (29, 194),
        "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "setns": (308, 268), "fsopen": (430, 430),
        "open_tree": (428, 428), "move_mount": (429, 429), "pivot_root": (155, 41), "seccomp": (317, 277),
        "pidfd_getfd": (438, 438), "fanotify_init": (300, 262), "inotify_init1": (294, 26), "clone3": (435, 435),
        "sched_setattr": (314, 274), "setpriority": (141, 140), "ioprio_set": (251, 30), "personality": (135, 92),
    }  # fmt: skip
    for name, (x86_64, aarch64) in numbers.items():
        result = _libc.syscall(ctypes.c_long(x86_64 if _X86 else aarch64), 0, 0, 0, 0, 0, 0)
        # EPERM or ENOSYS: from the filter, and not because the arguments make no sense.
        expect(result < 0 and ctypes.get_errno() in (1, 38), f"{name} gave {result}, errno {ctypes.get_errno()}")


def outgrow_processes(facts: dict[str, Any]) -> None:
    children = 0
    try:
        while children <= 4 * facts["processes"]:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            children += 1
    except OSError:
        pass
    expect(children < 2 * facts["processes"], f"{children} children")


def outgrow_threads(facts: dict[str, Any]) -> None:
    started = 0
    stop = threading.Event()
    threading.stack_size(64 << 10)
    try:
        while started <= 4 * facts["processes"]:
            threading.Thread(target=stop.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    stop.set()
    expect(started < 2 * facts["processes"], f"{started} threads")


def outgrow_memory(facts: dict[str, Any]) -> None:
    try:
        bytearray(facts["memory"] * 2)
    except MemoryError:
        return
    raise Escaped("allocated")


def outgrow_files(facts: dict[str, Any]) -> None:
    files: list[int] = []
    try:
        while len(files) < 4 * facts["files"]:
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for file in files:
        os.close(file)
    expect(len(files) <= facts["files"], f"{len(files)} open files")


def lower_no_limit(facts: dict[str, Any]) -> None:
    for name in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        try:
            resource.setrlimit(name, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, OSError):
            continue
        raise Escaped(f"raised limit {name}")


def hold_descriptors(facts: dict[str, Any]) -> None:
    expect(not sys.modules.get("perilune"), "has the package")
    for number in range(3, 1024):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        expect(mode & 0o170000 == 0o040000, f"descriptor {number}, mode {mode:o}")  # Python's library, at most


def thread_works(facts: dict[str, Any]) -> None:
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start()
    thread.join()
    expect(bool(done), "threads do not work, which programs need")


def leave_a_process(facts: dict[str, Any]) -> None:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        os._exit(0)


# What needs a living parent comes before its signals.
ATTEMPTS: list[Callable[[dict[str, Any]], None]] = [
    thread_works, hold_descriptors, read_secret, read_relative, list_folder, write_beside_secret, append_to_secret,
    truncate_secret, truncate_by_opening, change_mode, change_time, remove_secret, link_secret, write_system,
    connect_loopback, connect_unix, send_through_pair, signal_outside, trace_parent,
    read_parents_memory, steal_descriptor, limit_parent, signal_parent,
    mount, unmount, new_namespaces, clone_into_namespace, chroot,
    become_root, have_capabilities, rarely_used_calls, outgrow_memory, outgrow_files, lower_no_limit, outgrow_threads,
    leave_a_process, outgrow_processes,
]  # fmt: skip


def main() -> None:
    """Try everything, and print what had success."""
    facts = json.loads(sys.stdin.readline())
    escapes = {}
    for attempt in ATTEMPTS:
        try:
            attempt(facts)
        except Escaped as escape:
            escapes[attempt.__name__] = str(escape)
        except (OSError, ValueError, RuntimeError):
            pass
    print(json.dumps({"tried": len(ATTEMPTS), "escapes": escapes}))


if __name__ == "__main__":
    main()
