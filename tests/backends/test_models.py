from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from perilune.backends.models import (
    copy_weights,
    end_token_ids,
    load_model,
    load_tokenizer,
    resolve_model,
    share_weights,
    weights_of,
)
from perilune.errors import ModelError

CPU = torch.device("cpu")


def llama(**changes: Any) -> LlamaForCausalLM:
    sizes = {"vocab_size": 259, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, **ends, tie_word_embeddings=True, **changes))


@pytest.fixture
def folder(tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> Path:
    path = tmp_path / "model"
    llama().save_pretrained(path)
    tiny_tokenizer.save_pretrained(path)
    return path


def why_not(name: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(str(name), torch.float32, CPU)
    return str(caught.value)


def test_a_folder_loads_in_the_type_that_was_asked_for(folder: Path) -> None:
    model = load_model(str(folder), torch.bfloat16, CPU)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    written = load_file(folder / "model.safetensors")["model.norm.weight"]
    assert torch.equal(dict(weights_of(model))["model.norm.weight"].float(), written)


def test_a_home_folder_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve_model("~/model") == str(folder)


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    assert "holds no Hugging Face model: it has no config.json" in why_not(tmp_path)


def test_a_config_that_is_no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{", encoding="utf-8")
    assert "cannot load the model" in why_not(folder)
    assert "not a valid JSON file" in why_not(folder)


def test_a_model_that_is_no_language_model(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}), encoding="utf-8")
    assert "it is no causal language model" in why_not(folder)


@pytest.mark.parametrize("keep", [4, 1000])
def test_weights_that_are_cut_short(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "its weights are cut short or damaged" in why_not(folder)


def test_weights_that_are_not_there(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "model.safetensors" in why_not(folder)


def test_a_missing_weight_is_an_error_and_not_a_random_number(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    message = why_not(folder)
    assert "not whole: 1 weights are missing, e.g. model.layers.1.mlp.up_proj.weight" in message


def test_a_path_that_is_not_there_is_no_hub_id() -> None:
    message = why_not("/no/such/folder")
    assert "there is no folder of that name, and it cannot be a hub id" in message
    assert "Built in: smollm2-135m-instruct" in message


def test_a_hub_that_does_not_answer(tmp_path: Path) -> None:
    # The hub's address is read when its package is imported, so this needs a process of its own.
    import subprocess
    import sys

    program = (
        "from perilune.backends.models import resolve_model\n"
        "from perilune.errors import ModelError\n"
        "for name in ('someone/model', 'smollm2-135m'):\n"
        "    try:\n        resolve_model(name)\n"
        "    except ModelError as error:\n        print(error)\n"
    )
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    first, second = done.stdout.splitlines()
    assert "no model 'someone/model'" in first
    assert "did not answer" in first
    assert "a local folder works without it" in first
    assert second.endswith("Did you mean the built-in smollm2-135m-instruct?")


def test_loading_is_silent(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        load_model(str(folder), torch.float32, CPU)
        load_tokenizer(str(folder))
    assert capfd.readouterr() == ("", "")
    assert caught == []


def test_the_tokenizer_renders_with_its_own_template(folder: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer = load_tokenizer(str(folder))
    messages = [{"role": "user", "content": "hi"}]
    expected = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == expected


def test_a_template_from_a_file_replaces_it(folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{% for m in messages %}[{{ m['content'] }}]{% endfor %}", encoding="utf-8")
    tokenizer = load_tokenizer(str(folder), str(template))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "[hi]"


def test_a_tokenizer_without_a_template_says_what_to_set(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"has no chat template.*set model\.chat_template"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("text", ["{% for m in messages %}", "{{ nothing.at_all }}"])
def test_a_broken_template_is_refused(folder: Path, tmp_path: Path, text: str) -> None:
    template = tmp_path / "broken.jinja"
    template.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"chat template of .*broken\.jinja cannot be rendered"):
        load_tokenizer(str(folder), str(template))


def test_a_template_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read model\.chat_template nope\.jinja"):
        load_tokenizer(str(folder), "nope.jinja")


def test_a_folder_without_a_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match="cannot load the model"):
        load_tokenizer(str(folder))


def test_end_tokens_come_from_both_places(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    model = llama()
    assert model.generation_config is not None
    model.generation_config.eos_token_id = [7, 0]
    assert end_token_ids(model, tiny_tokenizer) == (0, 2, 7)
    model.generation_config.eos_token_id = None
    assert end_token_ids(model, tiny_tokenizer) == (2,)
    tiny_tokenizer.eos_token = None
    with pytest.raises(ModelError, match="names an end token"):
        end_token_ids(model, tiny_tokenizer)


def test_weights_go_from_one_model_to_another_with_tied_ones_once() -> None:
    source, target = llama(), llama()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    names = [name for name, _ in weights_of(source)]
    assert "lm_head.weight" not in names
    assert len(names) == len(set(names))
    copy_weights(target, weights_of(source))
    tokens = torch.tensor([[1, 5, 9]])
    assert torch.equal(source(tokens).logits, target(tokens).logits)


def test_copied_weights_take_the_models_type() -> None:
    target = llama().to(torch.bfloat16)  # type: ignore[arg-type]
    source = llama()
    copy_weights(target, weights_of(source))
    name = "model.embed_tokens.weight"
    assert torch.equal(dict(weights_of(target))[name], dict(weights_of(source))[name].bfloat16())


def test_shared_weights_are_one(folder: Path) -> None:
    mine, theirs = (load_model(str(folder), torch.float32, torch.device("cpu")) for _ in range(2))
    share_weights(mine, theirs)
    for name, weight in weights_of(theirs):
        with torch.no_grad():
            weight.add_(1.0)
        assert mine.get_parameter(name).data_ptr() == weight.data_ptr(), name
    tokens = torch.tensor([[3, 4, 5]])
    assert torch.equal(mine(tokens).logits, theirs(tokens).logits)


def test_weights_of_another_type_cannot_be_shared(folder: Path) -> None:
    models = [load_model(str(folder), dtype, torch.device("cpu")) for dtype in (torch.float32, torch.bfloat16)]
    with pytest.raises(ModelError, match="cannot be shared"):
        share_weights(*models)


def test_wrong_weights_are_named() -> None:
    model = llama()
    weights = dict(weights_of(llama()))
    with pytest.raises(ModelError, match=r"no weight 'model\.nrom\.weight'; nearest: 'model\.norm\.weight'"):
        copy_weights(model, {**weights, "model.nrom.weight": torch.zeros(16)}.items())
    with pytest.raises(ModelError, match=r"'model\.norm\.weight' has shape \(3,\), the model's is \(16,\)"):
        copy_weights(model, {**weights, "model.norm.weight": torch.zeros(3)}.items())
    del weights["model.norm.weight"]
    with pytest.raises(ModelError, match=r"1 weight\(s\) were not given, the first: 'model\.norm\.weight'"):
        copy_weights(model, weights.items())


def test_a_saved_model_loads_again(folder: Path, tmp_path: Path) -> None:
    model = load_model(str(folder), torch.float32, CPU)
    model.save_pretrained(tmp_path / "again")
    shutil.copy(folder / "tokenizer.json", tmp_path / "again")
    again = load_model(str(tmp_path / "again"), torch.float32, CPU)
    for (name, weight), (other, copied) in zip(weights_of(model), weights_of(again), strict=True):
        assert name == other
        assert torch.equal(weight, copied)
