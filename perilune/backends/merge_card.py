"""The card of a merged model: what was merged, how, and under which licence."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from perilune import __version__
from perilune.backends.builtin_models import BUILTIN_MODELS
from perilune.backends.mergekit_rules import NEEDS_BASE, SEED, mergekit_version
from perilune.backends.stored_models import CARD, StoredModel

_MEANINGS = {
    "linear": "the weighted average of the weights",
    "slerp": "spherical interpolation from the first model to the second",
    "ties": "TIES: each model's largest changes to the base, where their signs agree",
    "dare_linear": "DARE: a random share of each model's changes to the base, scaled up, added",
    "dare_ties": "DARE with the sign election of TIES",
}


def merge_card(
    models: Sequence[StoredModel], weights: Sequence[float], method: str, density: float, base: str | None
) -> str:
    """The README.md, in Markdown, with the front matter that the hub reads."""
    licences = [_licence(model.folder / CARD) for model in models]
    common = licences[0] if licences[0] and len(set(licences)) == 1 else None
    sources = dict.fromkeys(_source(model.name) for model in models)
    front = ["library_name: transformers", *([f"license: {common}"] if common else [])]
    front += ["base_model:", *(f"- {json.dumps(name, ensure_ascii=False)}" for name in sources)]
    front += ["tags:", "- merge", "- perilune"]
    total = sum(weights)
    rows = [
        f"| {_shown(model.name)} | {weight / total:.6g} | {licence or 'not stated'} | {_files(model)} |"
        for model, weight, licence in zip(models, weights, licences, strict=True)
    ]
    lines = ["---", *front, "---", "", "# A merge of language models", ""]
    lines += [f"Method: `{method}`, {_MEANINGS[method]}.", *_details(method, density, base), ""]
    lines += ["| model | weight | licence | weight files |", "|---|---|---|---|", *rows, ""]
    lines += ["Config, tokenizer and chat template are those of the first.", "", f"Made by Perilune {__version__}."]
    return "\n".join(lines) + "\n"


def _details(method: str, density: float, base: str | None) -> list[str]:
    """What else the outcome depends on."""
    if method == "linear":
        return []
    parts = [f"mergekit {mergekit_version()}"]
    if method in NEEDS_BASE and base is not None:
        parts += [f"base model {_shown(base)}", f"density {density:g}"]
    if method.startswith("dare"):
        parts.append(f"seed {SEED}")
    return [f"Computed with {', '.join(parts)}."]


def _shown(name: str) -> str:
    """A model's name without the folders of the machine that it was on."""
    path = Path(name)
    return path.name if path.is_absolute() or name.startswith("~") else name


def _source(name: str) -> str:
    """What the hub can link to, where it is known."""
    return BUILTIN_MODELS[name].source if name in BUILTIN_MODELS else _shown(name)


def _files(model: StoredModel) -> str:
    return ", ".join(f"{file.path.name} ({file.path.stat().st_size} bytes)" for file in model.files)


def _licence(card: Path) -> str | None:
    """What a card's front matter says."""
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license: *([\w.+-]+) *$", front[1], re.MULTILINE) if front else None
    return found[1] if found else None
