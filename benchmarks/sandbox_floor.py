"""The floor of ``benchmarks/sandbox.py``: starts one program again and again, in a process of its own."""

from __future__ import annotations

import gc
import os
import sys

from perilune.sandbox import child


def main() -> None:
    """For each line "COUNT STDIN STDOUT SOURCE": so many runs, forked, or spawned where there is a command."""
    child.warm_up()
    lines = os.fdopen(os.dup(0))
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in lines:
        count, *paths = line.split()
        stdin, stdout, source = (os.open(path, os.O_RDWR) for path in paths)
        for _ in range(int(count)):
            os.lseek(stdin, 0, os.SEEK_SET)
            os.ftruncate(stdout, 0)
            os.lseek(stdout, 0, os.SEEK_SET)
            os.waitpid(_spawn(stdin, stdout) if sys.argv[1:] else _fork(stdin, stdout, source), 0)
        for descriptor in (stdin, stdout, source):
            os.close(descriptor)
        os.write(1, b"done\n")


def _spawn(stdin: int, stdout: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    return os.posix_spawn(sys.argv[1], sys.argv[1:], {}, file_actions=actions)


def _fork(stdin: int, stdout: int, source: int) -> int:
    pid = os.fork()
    if pid == 0:
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.dup2(source, child.SOURCE_FD)
        child.run_python("main.py", paired=False)
    return pid
