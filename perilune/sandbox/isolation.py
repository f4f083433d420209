"""The two ways to isolate a run, as a zygote uses them: made once, then prepared and cleaned for every run.

Most is done on the zygote's side of a fork; what a run does to itself is laid out there too, as system calls.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from perilune.sandbox import child, kernel, landlock, namespaces, seccomp
from perilune.sandbox.calls import Call
from perilune.sandbox.jobs import Job, Setup

_FILES_AT_ONCE: Final = 4096


class Isolation(Protocol):
    """What the two modes have in common."""

    folder: str
    """Where a run's files are, as the run sees it; also its working folder and its home."""
    other_processes: int | None
    """What counts against RLIMIT_NPROC besides the program's own processes; None where its processes are counted by
    the zygote, since the limit would count all processes of the user."""
    spawns: bool
    """Whether a run needs no more than system calls that are known before it starts."""
    kept_descriptors: int
    """All descriptors from this one on are closed in a run."""
    abi: int
    """Landlock's version in use, 0 for none."""
    import_paths: list[str]
    """Where programs import packages from."""

    def open_folder(self, job: Job) -> str:
        """Make the run's empty folder, where it has one; returns the folder to run in."""

    def close_folder(self) -> None:
        """Remove it, with all that is in it."""

    def open_streams(self, given: list[int]) -> list[int]:
        """Let a run find its standard streams by name; returns the descriptors that it gets for those given."""

    def confinement(self, job: Job) -> list[Call]:
        """What a run does to give up its rights."""

    def last_filter(self) -> list[int]:
        """What a run does after that, if anything; returns descriptors for the zygote to have."""

    def end_all(self, pid: int) -> None:
        """Kill the run and all that came of it, called once; ProcessLookupError where nothing is left."""

    def close(self) -> None:
        """Remove what it keeps on the host."""


def open_path(path: str) -> int:
    """A descriptor that names a file and gives no access to it."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


class Namespaces:
    """Mode A. Made in the first process of the new process namespace."""

    folder = namespaces.FOLDER
    spawns = True
    kept_descriptors = namespaces.PYTHON_FD

    def __init__(self, setup: Setup, mapped_root: bool) -> None:
        folders = namespaces.readable_folders(setup.folders)
        hidden = namespaces.package_folders(folders, kept=setup.folders)
        namespaces.build_root(folders, hidden, setup.packages)
        self.import_paths = [*setup.import_paths, *([namespaces.PACKAGES] if setup.packages else [])]
        namespaces.become_nobody(mapped_root)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of uid, which would clear it
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        self.other_processes: int | None = 1 if mapped_root else 2  # the zygote, and the process that waits for it
        self.abi = landlock.abi() if setup.abi is None else min(setup.abi, landlock.abi())
        self._rules = [(open_path("/"), landlock.READ), (open_path("/dev"), landlock.READ | landlock.WRITE_FILE)]
        self._mounted_bytes = 0  # the size of the present folder, 0 where there is none
        self._as_new: tuple[namespaces.Look, ...] = ()
        self._folder_rules: int | None = None  # of the present folder
        self._filter = kernel.Filter(seccomp.inner_filter())
        kernel.Filter(seccomp.outer_filter()).install_now()

    def open_folder(self, job: Job) -> str:
        """Mount a new tmpfs, unless the last one is as good as new."""
        wanted = job.folder_bytes + (job.stream_bytes if job.names_streams else 0)
        if self._mounted_bytes != wanted:
            self._unmount()
            namespaces.fresh_folder(wanted, _FILES_AT_ONCE)
            self._mounted_bytes = wanted
            self._as_new = namespaces.look_at_folder()
            if self.abi:
                folder = open_path(self.folder)
                self._folder_rules = landlock.ruleset(self.abi, [*self._rules, (folder, landlock.ALL)])
                os.close(folder)
        return self.folder

    def close_folder(self) -> None:
        """Unmount it, with all that is in it, if anything was changed."""
        if namespaces.look_at_folder() != self._as_new:
            self._unmount()

    def _unmount(self) -> None:
        if self._mounted_bytes:
            kernel.umount(self.folder)
            self._mounted_bytes = 0
        if self._folder_rules is not None:
            os.close(self._folder_rules)
            self._folder_rules = None

    def open_streams(self, given: list[int]) -> list[int]:
        """Files in the folder that hold the same."""
        return namespaces.open_streams(given[0])

    def confinement(self, job: Job) -> list[Call]:
        """Landlock where there is one, no capability, and the inner filter."""
        landlocked: list[Call] = []
        if self._folder_rules is not None:
            landlocked = [("landlock_restrict_self", self._folder_rules, 0)]
        return [*landlocked, ("capset", *kernel.NO_CAPABILITIES), self._filter.install()]

    def last_filter(self) -> list[int]:
        """Nothing is left to do."""
        return []

    def end_all(self, pid: int) -> None:
        """Every process of the namespace but its first, which is the caller."""
        os.kill(-1, signal.SIGKILL)

    def close(self) -> None:
        """Nothing is left on the host."""


class LandlockAlone:
    """Mode B: in the host's namespaces, where containers deny new ones.

    Programs see the host's file names, and can read what the system's and Python's folders hold, nothing else. They
    write no files, except that compilers have a folder.
    """

    other_processes: int | None = None
    spawns = False

    def __init__(self, setup: Setup) -> None:
        self.abi = landlock.abi() if setup.abi is None else min(setup.abi, landlock.abi())
        if not self.abi:
            raise OSError("Landlock is not in this kernel, or is off")
        read = namespaces.readable_folders(setup.folders)
        rules = list(_readable(read, namespaces.package_folders(read, kept=setup.folders)))
        places = sorted({os.path.dirname(path) for path in setup.packages})  # noqa: PTH120
        self.import_paths = list(setup.import_paths)
        names = frozenset(os.path.basename(path).partition(".")[0] for path in setup.packages)  # noqa: PTH119
        sys.meta_path.append(child.OfferedFinder(names, places))
        # Names beside them can be listed, as an import does; what they name stays closed.
        rules += [(open_path(path), landlock.READ_DIR) for path in places]
        rules += [(open_path(path), landlock.READ) for path in setup.packages]
        rules += [(open_path(f"/dev/{name}"), landlock.READ_FILE | landlock.WRITE_FILE) for name in namespaces.DEVICES]
        rewritten = namespaces.keep_python_reachable()
        self.kept_descriptors = namespaces.PYTHON_FD + rewritten
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(*[namespaces.NOBODY] * 3)
            os.setresuid(*[namespaces.NOBODY] * 3)
        kernel.drop_capability_bounds()
        kernel.set_capabilities(0)
        for option, value in (
            (kernel.PR_SET_PDEATHSIG, signal.SIGKILL),
            (kernel.PR_SET_CHILD_SUBREAPER, 1),
            (kernel.PR_SET_DUMPABLE, 0),
            (kernel.PR_SET_NO_NEW_PRIVS, 1),
        ):
            kernel.prctl(option, value)
        self._base = tempfile.mkdtemp(prefix="perilune-sandbox-")
        work = f"{self._base}/work"
        os.mkdir(work, 0o700)  # noqa: PTH102
        self.folder = f"{work}/run"
        place = open_path(work)
        self._reading = landlock.ruleset(self.abi, [*rules, (place, landlock.READ)])
        self._writing = landlock.ruleset(self.abi, [*rules, (place, landlock.ALL)])
        for descriptor, _ in [*rules, (place, 0)]:
            os.close(descriptor)
        kernel.Filter(seccomp.outer_filter()).install_now()

    def open_folder(self, job: Job) -> str:
        """Make an empty folder, where the job needs one."""
        if not job.writes_files and all(word == "{binary}" for word in job.command or ()):
            return self._base
        os.mkdir(self.folder, 0o700)  # noqa: PTH102
        return self.folder

    def close_folder(self) -> None:
        """Remove it, with all that is in it."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def open_streams(self, given: list[int]) -> list[int]:
        """The same: the host's /proc opens them again."""
        for descriptor in given[1:]:
            # What is printed under both names comes one after the other, as in a pipe.
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
        return given

    def confinement(self, job: Job) -> list[Call]:
        """Landlock, and an end with the zygote's."""
        rules = self._writing if job.writes_files else self._reading
        calls: list[Call] = [("prctl", kernel.PR_SET_PDEATHSIG, signal.SIGKILL), ("landlock_restrict_self", rules, 0)]
        if job.names_streams:
            # Its own descriptors in /proc are its own again, as they are any executed program's; Landlock keeps all
            # else of /proc closed, and other processes of the user out.
            calls.append(("prctl", kernel.PR_SET_DUMPABLE, 1))
        return calls

    def last_filter(self) -> list[int]:
        """The inner filter, which knows the run's pid, and a listener for the zygote, which counts new processes."""
        program = kernel.Filter(seccomp.inner_filter_alone(os.getpid()))
        return [program.install_now(kernel.SECCOMP_FILTER_FLAG_NEW_LISTENER)]

    def end_all(self, pid: int) -> None:
        """The run's process group, which nothing can leave."""
        os.kill(pid, signal.SIGKILL)
        os.killpg(pid, signal.SIGKILL)

    def close(self) -> None:
        """Remove the folder of folders."""
        shutil.rmtree(self._base, ignore_errors=True)


def _readable(folders: Iterable[str], hidden: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Rules to read folders, around what is hidden below them: its names can be listed, and nothing of it be opened."""
    apart = set(hidden)
    for folder in folders:
        if folder in apart:
            continue
        if not any(place.startswith(f"{folder}/") for place in apart):
            yield open_path(folder), landlock.READ
        else:
            yield open_path(folder), landlock.READ_DIR
            # Links need no rule: what counts is where they lead.
            inside = [entry.path for entry in os.scandir(folder) if not entry.is_symlink()]
            yield from _readable(inside, apart)
