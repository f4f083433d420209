"""Models and tokenizers: built-in names, local folders, hub ids; weights in and out under Hugging Face names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from perilune.backends.builtin_models import BUILTIN_MODELS, fetch_builtin
from perilune.backends.quiet import quiet_loading
from perilune.errors import ModelError

_HUB_SECONDS = 10.0
"""How long the hub may take to say whether it knows a model."""


def resolve_model(name: str, revision: str | None = None) -> str:
    """What ``from_pretrained`` loads: a folder's path or a hub id. A built-in model is fetched at its first use.

    Raises:
        ModelError: a built-in model cannot be fetched, a folder holds no model, or there is no folder of that name
            and the hub does not answer or does not know it.
    """
    if name in BUILTIN_MODELS:
        return str(fetch_builtin(name))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ModelError(f"the folder {path} holds no Hugging Face model: it has no config.json")
        return str(path)
    # Asking first takes one request; from_pretrained would try for most of a minute.
    try:
        if not isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
            HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
    except Exception as error:
        raise ModelError(f"no model {name!r}: {_why_not(error, revision)}.{_nearest(name)}") from error
    return name


def load_model(name: str, dtype: torch.dtype, device: torch.device, *, revision: str | None = None) -> PreTrainedModel:
    """A causal language model in eval mode, its weights in ``dtype`` on ``device``.

    Raises:
        ModelError: there is no such model, it is no causal language model, or its weights are not whole.
    """
    place = resolve_model(name, revision)
    with _loading(name):
        # Engine and trainer put their own attention in its place; eager is what every architecture has.
        # With output_loading_info it gives a pair, which its types do not say.
        given: Any = AutoModelForCausalLM.from_pretrained(
            place, revision=revision, dtype=dtype, attn_implementation="eager", output_loading_info=True
        )
    model, info = given
    # Else transformers would have made these up at random.
    if missing := info["missing_keys"]:
        raise ModelError(f"the model {name} is not whole: {len(missing)} weights are missing, e.g. {min(missing)}")
    loaded: PreTrainedModel = model.to(device).eval()
    return loaded


def load_tokenizer(
    name: str, chat_template: str | None = None, *, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """The model's tokenizer, with the chat template of a file where one is given.

    Args:
        name: of the model.
        chat_template: path of a Jinja template that replaces the tokenizer's own.
        revision: on the hub.

    Raises:
        ModelError: it cannot be loaded, or has no chat template that works.
    """
    place = resolve_model(name, revision)
    with _loading(name):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, revision=revision)
    if chat_template is not None:
        try:
            tokenizer.chat_template = Path(chat_template).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"cannot read model.chat_template {chat_template}: {error}") from error
    if not tokenizer.chat_template:
        raise ModelError(
            f"the tokenizer of {name} has no chat template, so prompts cannot be rendered; set model.chat_template to "
            "the path of a Jinja template"
        )
    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True)
    except Exception as error:
        raise ModelError(f"the chat template of {chat_template or name} cannot be rendered: {error}") from error
    return tokenizer


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Ids that end a response: those of the generation config and the tokenizer's own, sorted.

    Raises:
        ModelError: neither names one.
    """
    found: set[int] = set()
    generation = getattr(model, "generation_config", None)
    for ids in (getattr(generation, "eos_token_id", None), tokenizer.eos_token_id):
        if ids is not None:
            found |= {ids} if isinstance(ids, int) else set(ids)
    if not found:
        raise ModelError("neither the generation config nor the tokenizer names an end token; responses would not end")
    return tuple(sorted(found))


def weights_of(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """(Hugging Face name, weight) of every parameter, detached and not copied; tied ones once."""
    for name, parameter in model.named_parameters():
        yield name, parameter.detach()


def copy_weights(
    model: PreTrainedModel,
    weights: Iterable[tuple[str, Tensor]],
    take: Callable[[str, Tensor], bool] = lambda name, weight: False,
) -> None:
    """Copy weights into a model in place, cast to its type.

    Args:
        model: that takes them.
        weights: (Hugging Face name, weight) of every parameter.
        take: is offered each of them first; what it takes, it answers True to, and the parameter stays as it is.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape; the message names it.
    """
    targets = dict(weights_of(model))
    missing = set(targets)
    for name, weight in weights:
        target = targets.get(name)
        if target is None:
            near = difflib.get_close_matches(name, targets, n=1)
            raise ModelError(f"the model has no weight {name!r}" + (f"; nearest: {near[0]!r}" if near else ""))
        if target.shape != weight.shape:
            raise ModelError(f"weight {name!r} has shape {tuple(weight.shape)}, the model's is {tuple(target.shape)}")
        if not take(name, weight):
            target.copy_(weight.detach())
        missing.discard(name)
    if missing:
        raise ModelError(f"{len(missing)} weight(s) were not given, the first: {min(missing)!r}")


def share_weights(model: PreTrainedModel, source: PreTrainedModel) -> None:
    """Lay a model's weights where another one's are: what is written to one is read by both.

    Raises:
        ModelError: a weight is missing, or of another shape, type or device.
    """
    weights = dict(weights_of(source))
    for name, parameter in model.named_parameters():
        weight = weights.get(name)
        kinds = [(tuple(w.shape), w.dtype, w.device) for w in (parameter, weight) if w is not None]
        if weight is None or kinds[0] != kinds[1]:
            raise ModelError(f"weight {name!r} cannot be shared: it is {kinds[0]}, the other model's is {kinds[1:]}")
        parameter.data = weight


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Quietly; and what loading can raise, turned into one message."""
    try:
        with quiet_loading():
            yield
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        if "Unrecognized configuration class" in first:
            first = "it is no causal language model"
        if isinstance(error, SafetensorError):
            first = f"its weights are cut short or damaged ({first}); copy or download them again"
        raise ModelError(f"cannot load the model {name}: {first}") from error


def _why_not(error: Exception, revision: str | None) -> str:
    """Why the hub does not give a model."""
    if isinstance(error, HFValidationError):
        return "there is no folder of that name, and it cannot be a hub id"
    if isinstance(error, RevisionNotFoundError):
        return f"the hub knows it, but not its revision {revision!r}"
    if isinstance(error, RepositoryNotFoundError):
        return "there is no folder of that name, and the hub does not know it (or it is private: `hf auth login`)"
    if isinstance(error, HfHubHTTPError):
        return f"there is no folder of that name, and the hub refuses it: {str(error).splitlines()[0]}"
    return (
        f"there is no folder of that name, and the Hugging Face hub did not answer ({type(error).__name__}); "
        "a local folder works without it"
    )


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), BUILTIN_MODELS, n=1, cutoff=0.5)
    return f" Did you mean the built-in {near[0]}?" if near else f" Built in: {', '.join(BUILTIN_MODELS)}"
