"""``perilune serve``: vLLM's own OpenAI-compatible server on a model, nothing of ours in between."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from perilune.backends.engines.vllm.core import VLLM_MISSING
from perilune.backends.models import resolve_model
from perilune.errors import BackendUnavailable


def serve_command(model: str, arguments: Sequence[str] = (), python: str | None = None) -> list[str]:
    """What to run: ``vllm serve FOLDER --served-model-name MODEL``, and whatever else its user wants of it.

    Args:
        model: a built-in name, a folder or a hub id.
        arguments: for ``vllm serve``, as they are.
        python: the interpreter that has vLLM, if it is another than this one.

    Raises:
        ModelError: there is no such model.
        BackendUnavailable: vLLM is not installed.
    """
    interpreter = python or sys.executable
    beside = Path(interpreter).parent / "vllm"
    if python is None and importlib.util.find_spec("vllm") is None:
        raise BackendUnavailable(VLLM_MISSING.format(what="perilune serve", python=interpreter, error="no module vllm"))
    if not beside.exists():
        found = shutil.which("vllm")
        if python is not None or found is None:
            raise BackendUnavailable(
                VLLM_MISSING.format(what="perilune serve", python=interpreter, error=f"there is no {beside}")
            )
        beside = Path(found)
    place = resolve_model(model)
    # A model is called as its user calls it; vLLM would take the folder's whole path for its name.
    named = [] if "--served-model-name" in arguments else ["--served-model-name", Path(model).name or model]
    return [str(beside), "serve", place, *named, *arguments]
