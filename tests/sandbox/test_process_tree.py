import os
import subprocess
import sys
import time

from perilune.sandbox import process_tree

CHILD = """
import os, sys, time, threading
block = bytearray(50 << 20)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
if os.fork() == 0:
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
    print("ready", flush=True)
time.sleep(60)
"""


def test_descendants_threads_time_and_memory_are_summed() -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        found = list(process_tree.descendants(os.getpid()))
        assert child.pid in found
        used = process_tree.usage(child.pid)
        assert used.tasks == 1  # the grandchild; a fork takes one thread along
        assert used.cpu_seconds >= 0.2
        assert process_tree.anonymous_bytes(child.pid) > 50 << 20
        assert process_tree.usage(child.pid, spared=1 << 40).memory_bytes == 0
        assert process_tree.count_tasks(iter([child.pid])) == 2
        (grandchild,) = process_tree.descendants(child.pid)
        os.kill(grandchild, 9)
        child.kill()
    deadline = time.monotonic() + 10
    while child.pid in process_tree.descendants(os.getpid()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process_tree.anonymous_bytes(child.pid) == 0
    assert process_tree.count_tasks(iter([child.pid])) == 0


def test_kernels_without_a_list_of_children_are_read_in_another_way() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        assert child.pid in process_tree._children_by_parent(os.getpid())
        child.kill()
