"""Mode A: new user, mount, process, network, IPC, host-name and cgroup namespaces, with a root folder of our own.

    /            a tmpfs, read-only once it is laid out
    /usr/…       the system's programs, libraries and headers, read-only; site- and dist-packages hidden
    /box         a tmpfs of limited size, new for every run; /tmp and /dev/shm lead there
    /packages    what programs may import besides, package by package, read-only
    /dev         null, zero, full, random and urandom; stdin, stdout, stderr and fd lead to /box
                 no /proc, no /sys, no /home, no /etc but what the linker and the clock need

Works without root where the kernel lets users make namespaces, and with root; either way programs run as an ordinary
user that owns nothing.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from perilune.sandbox import kernel

NOBODY: Final = 65534
FOLDER: Final = "/box"
"""A run's own folder. Not /tmp itself, since Python or what programs import may lie below the host's /tmp."""
PYTHON_FD: Final = 5
"""Where :func:`keep_python_reachable` leaves its descriptor, if any."""
_SYSTEM: Final = [
    *(
        f"{top}/{folder}"
        for top in ("/usr", "/usr/local")
        for folder in ("bin", "lib", "lib32", "lib64", "libx32", "libexec", "include")
    ),
    *("/usr/share/zoneinfo", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"),
]
_MAYBE_LINKS: Final = ("/bin", "/lib", "/lib32", "/lib64", "/libx32")
DEVICES: Final = ("null", "zero", "full", "random", "urandom")
PACKAGES: Final = "/packages"
"""Where the packages lie that programs may import."""
STREAMS: Final = f"{FOLDER}/.fd"
"""Where the files of a run's standard streams lie, 0 to 2, if it opens them by name."""
_PACKAGES: Final = ("site-packages", "dist-packages")
_BUILD: Final = "/tmp"  # any folder that every system has; hidden for this process alone while the root is laid out


def python_folders() -> list[str]:
    """What the interpreter reads: its library, and the folder of its shared library."""
    prefix = Path(sys.base_prefix)
    return [str(prefix / name) for name in ("bin", "lib", "lib64") if (prefix / name).is_dir()]


def readable_folders(extra: Iterable[str]) -> list[str]:
    """What programs may read, in both modes; no folder twice, none below another."""
    wanted = [path for path in (*_SYSTEM, *_MAYBE_LINKS, *python_folders(), *extra) if Path(path).exists()]
    kept: list[str] = []
    for path in sorted(set(wanted), key=len):
        if Path(path).is_symlink() and path in _MAYBE_LINKS:
            continue
        if not any(path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    return kept


def package_folders(folders: Iterable[str], kept: Iterable[str] = ()) -> list[str]:
    """The folders of installed packages in those folders: hidden, since nobody knows what lies in them."""
    found: set[str] = set()
    for folder in folders:
        for pattern in ("python3*/*-packages", "*/python3*/*-packages"):
            found.update(str(path) for path in Path(folder).glob(pattern) if path.name in _PACKAGES)
        found.update(str(Path(folder) / name) for name in _PACKAGES if (Path(folder) / name).is_dir())
    return sorted(path for path in found if not any(_is_below(place, path) for place in kept))


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def enter_user_namespace() -> bool:
    """Be nobody in a user namespace of its own, with all capabilities there; True where root's uid came along too.

    Root needs its own uid in there as well, to read a Python that lies in a folder for root alone.
    """
    as_root = kernel.capabilities() >> kernel.CAP_SETUID & 1 and kernel.capabilities() >> kernel.CAP_SETGID & 1
    if as_root and os.geteuid() == 0:
        _unshare_with_helper()
        return True
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    return False


def _unshare_with_helper() -> None:
    """Two uids can be mapped only from outside: a child that stays behind does it."""
    os.setgroups([])
    parent = os.getpid()
    asked, ask = os.pipe()
    helper = os.fork()
    if helper == 0:
        status = 1
        try:
            os.read(asked, 1)
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{parent}/{name}").write_text(f"0 0 1\n{NOBODY} {NOBODY} 1\n")
            status = 0
        finally:
            os._exit(status)
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
    finally:
        os.write(ask, b"x")
        _, status = os.waitpid(helper, 0)
        os.close(asked)
        os.close(ask)
    if status:
        raise PermissionError("the user namespace's ids cannot be mapped")


def enter_other_namespaces() -> None:
    """For the child to come: it is process 1 of a process namespace, and shares nothing else either."""
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC)
    kernel.unshare(kernel.CLONE_NEWUTS | kernel.CLONE_NEWCGROUP)


def build_root(folders: Iterable[str], hidden: Iterable[str], packages: Iterable[str]) -> None:
    """Make the root folder and move into it; nothing of the former one can be reached any more."""
    sources = {folder: os.path.realpath(folder) for folder in folders}
    sources |= {f"{PACKAGES}/{Path(package).name}": os.path.realpath(package) for package in packages}
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", _BUILD, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=4m,nr_inodes=4096,mode=755")
    os.chdir(_BUILD)
    Path("host").mkdir()
    Path("root").mkdir()
    kernel.pivot_root(".", "host")
    os.chdir("/")
    kernel.mount("tmpfs", "/root", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=4m,nr_inodes=4096,mode=755")
    for folder, source in sources.items():
        _show(Path(f"/host{source}"), Path(f"/root{folder}"))
    for folder in hidden:
        _hide(folder)
    for link in _MAYBE_LINKS:
        if os.path.islink(f"/host{link}"):  # noqa: PTH114 (the path is text throughout)
            os.symlink(os.readlink(f"/host{link}"), f"/root{link}")  # noqa: PTH115, PTH211
    _lay_out_devices()
    os.mkdir(f"/root{FOLDER}")  # noqa: PTH102
    if not os.path.lexists("/root/tmp"):
        os.symlink(FOLDER, "/root/tmp")  # noqa: PTH211
    os.chdir("/root")
    kernel.pivot_root(".", ".")
    kernel.umount(".")
    os.chdir("/")
    kernel.mount(
        "", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    )


def _show(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir()
    elif source.is_file():
        target.touch()
    else:
        return
    kernel.bind_read_only(str(source), str(target))


def _hide(path: str) -> None:
    if Path(f"/root{path}").is_dir():
        kernel.mount("tmpfs", f"/root{path}", "tmpfs", kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV, "size=4k")


def _lay_out_devices() -> None:
    devices = Path("/root/dev")
    devices.mkdir()
    for name in DEVICES:
        (devices / name).touch()
        kernel.bind_device(f"/host/dev/{name}", str(devices / name))
    (devices / "shm").symlink_to(f"{FOLDER}/.shm")
    # Without a /proc nothing reopens a descriptor: the zygote lays files there, which are the streams.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (devices / name).symlink_to(f"{STREAMS}/{number}")
    (devices / "fd").symlink_to(STREAMS)


def fresh_folder(size_bytes: int, inodes: int) -> None:
    """An empty folder of limited size."""
    options = f"size={size_bytes},nr_inodes={inodes},mode=1777"
    kernel.mount("tmpfs", FOLDER, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOATIME, options)
    os.mkdir(f"{FOLDER}/.shm", 0o1777)  # noqa: PTH102


def open_streams(given: int) -> list[int]:
    """Files in the present folder for stdin, stdout and stderr, the first with what is in a descriptor."""
    os.mkdir(STREAMS)  # noqa: PTH102
    streams = []
    for number in range(3):
        path, flags = f"{STREAMS}/{number}", os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        streams.append(os.open(path, flags | os.O_RDWR | (os.O_APPEND if number else 0), 0o600))
    send(given, streams[0])
    os.lseek(streams[0], 0, os.SEEK_SET)
    return streams


def send(source: int, target: int) -> int:
    """Copy a file from its start, in the kernel alone; returns how many bytes."""
    size, done = os.fstat(source).st_size, 0
    while done < size and (sent := os.sendfile(target, source, done, size - done)):
        done += sent
    return done


Look = tuple[int, int, int, int, int, int, int]


def look_at_folder() -> tuple[Look, ...]:
    """All that a program could have changed about its folder: equal looks mean that the next one sees no difference.

    What is made or removed in a folder changes its size, or its times at least; equal times tell nothing.
    """
    found = (os.stat(path) for path in (FOLDER, f"{FOLDER}/.shm"))  # noqa: PTH116
    return tuple((s.st_ino, s.st_mode, s.st_uid, s.st_nlink, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in found)


def become_nobody(mapped_root: bool) -> None:
    """Give up root's uid, where it came along, and every capability but the one to mount."""
    if mapped_root:
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.drop_capability_bounds()
    kernel.set_capabilities(1 << kernel.CAP_SYS_ADMIN)


def keep_python_reachable() -> bool:
    """Let an ordinary user import from a Python that lies in a folder for root alone, by a descriptor of its library.

    Rewrites where this process, and all that is forked from it, looks for modules. The descriptor stays at
    :data:`PYTHON_FD`. Returns whether that was needed: not where anybody can read Python.
    """
    library = sysconfig.get_path("stdlib")
    if os.geteuid() != 0 or all(os.stat(place).st_mode & 0o005 == 0o005 for place in Path(library).parents):  # noqa: PTH116
        return False
    descriptor = os.open(library, os.O_PATH | os.O_CLOEXEC)
    os.dup2(descriptor, PYTHON_FD, inheritable=False)
    os.close(descriptor)
    reachable = f"/proc/self/fd/{PYTHON_FD}"
    sys.path[:] = [path.replace(library, reachable, 1) for path in sys.path if path.startswith(library)]
    for module in list(sys.modules.values()):
        if isinstance(path := getattr(module, "__path__", None), list):
            path[:] = [place.replace(library, reachable, 1) for place in path]
    sys.path_importer_cache.clear()
    return True
