import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from perilune.errors import SandboxUnavailable
from perilune.sandbox import kernel, landlock, probes, process_tree
from perilune.sandbox.jobs import Setup
from perilune.sandbox.probes import bait, first_worker, probed_worker
from perilune.sandbox.worker import WorkerLost


@pytest.mark.parametrize("mode", ["namespaces", "landlock"])
def test_the_canary_does_not_get_out(mode: str) -> None:
    try:
        worker = probed_worker(Setup(mode))  # type: ignore[arg-type]
    except WorkerLost as error:
        pytest.skip(str(error))
    worker.close()


def test_without_isolation_the_canary_gets_out(public_python: tuple[Path, Path]) -> None:
    """A probe that cannot fail would prove nothing. Never as root, whom the canary could do harm."""
    wanted = {"read_secret", "append_to_secret", "connect_loopback", "limit_parent", "outgrow_memory"}
    assert wanted <= canary_escapes(*public_python)


def canary_escapes(python: Path, modules: Path) -> set[str]:
    """What it reached when nothing held it."""
    canary = modules / "perilune" / "sandbox" / "canary.py"
    other: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with bait() as laid:
        # It limits its parent, and sends it signals: that is a shell of its own.
        command = ["/bin/sh", "-c", f'"{python}" -I -S "{canary}"; exit 0']
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=said, cwd="/", start_new_session=True, **other
            ) as shell,
        ):
            shell.communicate(laid.as_input(), timeout=60)  # the canary may have killed it before its own end
            deadline = time.monotonic() + 60
            while not os.fstat(said.fileno()).st_size and time.monotonic() < deadline:
                time.sleep(0.05)
            os.killpg(shell.pid, signal.SIGKILL)  # it leaves processes behind, as it meant to
            said.seek(0)
            escapes = json.load(said)["escapes"]
        assert laid.taken() == "a file outside was changed"
    return set(escapes)


def test_bait_that_is_taken_is_seen() -> None:
    with bait() as laid:
        assert laid.taken() == ""
        laid.secret.chmod(0o600)
        assert "mode or time" in laid.taken()
        laid.secret.chmod(0o666)
        (laid.secret.parent / "more").touch()
        assert laid.taken() == "a file was made outside"
        (laid.secret.parent / "more").unlink()
        laid.sentinel.kill()
        laid.sentinel.wait()
        assert laid.taken() == "a process outside was killed"


def test_a_way_that_leaks_is_refused_and_says_what_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is laid where programs may read: the probe must find out, and nothing may be left running."""
    before = set(process_tree.descendants(os.getpid()))
    folder = Path(sysconfig.get_path("stdlib")) / "perilune-probe-test"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("needs to write to Python's library")
    try:
        monkeypatch.setattr(probes.tempfile, "TemporaryDirectory", lambda prefix: _Folder(folder))
        with pytest.raises(WorkerLost, match=r"read_secret .*a secret that no program may see"):
            probed_worker(Setup("namespaces"))
    except BaseException as error:
        if "make namespaces" in str(error):
            pytest.skip(str(error))
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert set(process_tree.descendants(os.getpid())) <= before


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> str:
        return str(self._path)

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)


def test_where_nothing_isolates_every_probe_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter, as containers have them, takes the calls away in a process of its own, where the sandbox is asked."""
    code = """
import sys
from perilune.errors import SandboxUnavailable
from perilune.sandbox import bpf, kernel, seccomp
from perilune.sandbox.syscall_numbers import NUMBERS
from perilune.sandbox.sandbox import Sandbox
code = [bpf.Load(0)]
for name in ("unshare", "landlock_create_ruleset"):
    code += [bpf.Jump("eq", NUMBERS[name], no=name), seccomp.refuse(1), bpf.Label(name)]
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
kernel.Filter(bpf.assemble([*code, bpf.Return(0x7FFF0000)])).install_now()
try:
    Sandbox()
except SandboxUnavailable as error:
    sys.stdout.write(str(error))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, namespaces, landlocked = ended.stdout.splitlines()
    assert first == "programs cannot be isolated on this machine, so none is run:"
    assert namespaces.startswith("- namespaces: cannot make namespaces: ")
    assert "To mend it, let users make namespaces" in namespaces
    assert landlocked.startswith("- landlock: cannot isolate: Landlock is not in this kernel, or is off")
    assert "lsm=landlock" in landlocked


def test_where_namespaces_are_denied_landlock_is_taken() -> None:
    if not landlock.abi():
        pytest.skip("this kernel has no Landlock")
    code = """
import sys
from perilune.sandbox import bpf, kernel, seccomp
from perilune.sandbox.programs import Program
from perilune.sandbox.syscall_numbers import NUMBERS
from perilune.sandbox.sandbox import Sandbox
code = [bpf.Load(0), bpf.Jump("eq", NUMBERS["unshare"], no="other"), seccomp.refuse(1), bpf.Label("other")]
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
kernel.Filter(bpf.assemble([*code, bpf.Return(0x7FFF0000)])).install_now()
with Sandbox(workers=1) as sandbox:
    sys.stdout.write(sandbox.mode + sandbox.run(Program("python", "print(6 * 7)"), [b""]).runs[0].stdout.decode())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout == "landlock42\n", ended.stderr[-1000:]


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5])
def test_older_versions_of_landlock_hold_or_are_refused(abi: int) -> None:
    """What an older kernel's Landlock lacks is covered by the filters; where it is not, the probes say so."""
    if landlock.abi() < abi:
        pytest.skip("this kernel's Landlock is older")
    worker = None
    try:
        worker = probed_worker(Setup("landlock", abi=abi))
        assert worker.abi == abi
    except WorkerLost as error:
        assert "a program could" in str(error)
    finally:
        if worker is not None:
            worker.close()


def test_auto_prefers_namespaces() -> None:
    try:
        setup, worker = first_worker("auto", Setup("landlock"))
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    worker.close()
    if setup.mode == "landlock":
        with pytest.raises((WorkerLost, OSError)):
            probed_worker(Setup("namespaces"))


def test_kernel_calls_name_what_was_refused() -> None:
    with pytest.raises(OSError, match="umount2: "):
        kernel.umount("/no/such/place")
