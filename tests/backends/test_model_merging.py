"""Merging models in folders: values, layout, what is refused, and that nothing is left behind."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from perilune.algorithm.merging import weighted_average
from perilune.backends.merging import MergePlan, merge_models, write_merge
from perilune.backends.models import load_model, load_tokenizer
from perilune.errors import BackendUnavailable, ModelError
from perilune.recipe.long2short import MergeConfig

CPU = torch.device("cpu")
HALVES = MergePlan((0.5, 0.5))
UNEVEN = (0.3, 0.7)

Make = Callable[..., Path]


def silent(_done: int, _total: int) -> None:
    pass


@pytest.fixture
def make(tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> Make:
    """Writes a small Llama of random weights; returns its folder."""

    def model(
        name: str,
        seed: int,
        *,
        tied: bool = True,
        dtype: torch.dtype = torch.float32,
        shard: str = "1GB",
        **changes: Any,
    ) -> Path:
        torch.manual_seed(seed)
        sizes = {"vocab_size": 259, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
        ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
        config = LlamaConfig(**{**sizes, **heads, **ends, "tie_word_embeddings": tied, **changes})
        folder = tmp_path / "models" / name
        LlamaForCausalLM(config).to(dtype).save_pretrained(folder, max_shard_size=shard)  # type: ignore[arg-type]
        tiny_tokenizer.save_pretrained(folder)
        return folder

    return model


@pytest.fixture
def long(make: Make) -> Path:
    return make("long", 1)


@pytest.fixture
def short(make: Make) -> Path:
    return make("short", 2)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out" / "merged"


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: weight for path in sorted(folder.glob("*.safetensors")) for name, weight in load_file(path).items()}


def head(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: 8 + int.from_bytes(data[:8], "little")]


def merge(models: list[Path], target: Path, plan: MergePlan = HALVES, **options: Any) -> dict[str, Tensor]:
    write_merge([str(model) for model in models], target, plan, silent, **options)
    return weights(target)


def why_not(models: list[Path], target: Path, plan: MergePlan = HALVES, **options: Any) -> str:
    """Why a merge is refused; nothing may have been written."""
    before = sorted(target.parent.rglob("*"))
    with pytest.raises(ModelError) as caught:
        write_merge([str(model) for model in models], target, plan, silent, **options)
    assert sorted(target.parent.rglob("*")) == before
    return str(caught.value)


def rewrite(path: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def edit(path: Path, **changes: Any) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(found | changes), encoding="utf-8")


def test_the_average_of_two_models_loads_and_answers(long: Path, short: Path, target: Path) -> None:
    calls: list[tuple[int, int]] = []
    merge_models(
        [str(long), str(short)], target, config=MergeConfig(), base=None, progress=lambda *call: calls.append(call)
    )
    mine, theirs, merged = weights(long), weights(short), weights(target)
    assert merged.keys() == mine.keys()
    for name, weight in merged.items():
        assert torch.equal(weight, (mine[name] + theirs[name]) / 2)
    assert calls == [(n, len(mine)) for n in range(1, len(mine) + 1)]

    model, tokenizer = load_model(str(target), torch.float32, CPU), load_tokenizer(str(target))
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    tokens = tokenizer("hello", return_tensors="pt")
    assert model.generate(**tokens, max_new_tokens=4, do_sample=False).shape[0] == 1  # type: ignore[operator]


def test_the_config_of_long2short_gives_the_weights(long: Path, short: Path, target: Path) -> None:
    models = [str(long), str(short)]
    merge_models(models, target, config=MergeConfig(long_weight=0.25), base="unused", progress=silent)
    for name, weight in weights(target).items():
        assert torch.equal(weight, weighted_average([weights(long)[name], weights(short)[name]], (0.25, 0.75)))


def test_what_is_beside_the_weights_is_the_first_models(long: Path, short: Path, target: Path) -> None:
    (short / "chat_template.jinja").write_text("another", encoding="utf-8")
    edit(short / "generation_config.json", temperature=0.3)
    (long / "trainer.json").touch()
    (long / "optimizer.bin").touch()
    merge([long, short], target)
    kept = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert {path.name for path in target.iterdir()} == kept | {"README.md", "model.safetensors"}
    for name in kept:
        assert (target / name).read_bytes() == (long / name).read_bytes()
    assert head(target / "model.safetensors") == head(long / "model.safetensors")
    with safe_open(target / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_any_number_of_models(make: Make, target: Path) -> None:
    models = [make(f"m{seed}", seed) for seed in range(4)]
    plan = MergePlan((1, 2, 3, 4))
    merged = merge(models, target, plan)
    for name, weight in merged.items():
        assert torch.equal(weight, weighted_average([weights(model)[name] for model in models], plan.weights))


def test_a_tensor_larger_than_a_piece(make: Make, target: Path) -> None:
    models = [make(f"m{seed}", seed, hidden_size=128, vocab_size=5003) for seed in (1, 2)]
    merged = merge(models, target, MergePlan(UNEVEN))
    assert max(weight.nbytes for weight in merged.values()) > 1 << 21
    for name, weight in merged.items():
        assert torch.equal(weight, weighted_average([weights(model)[name] for model in models], UNEVEN))


def test_shards_stay_as_the_first_model_has_them(make: Make, long: Path, target: Path) -> None:
    sharded = make("sharded", 3, shard="8KB")
    files = sorted(path.name for path in sharded.glob("*.safetensors*"))
    assert len(files) > 3
    merged = merge([sharded, long], target, MergePlan(UNEVEN))
    assert sorted(path.name for path in target.glob("*.safetensors*")) == files
    index = "model.safetensors.index.json"
    assert (target / index).read_bytes() == (sharded / index).read_bytes()
    other = merge([long, sharded], target.with_name("other"), MergePlan(UNEVEN[::-1]))
    for name, weight in merged.items():
        assert torch.equal(weight, weighted_average([weights(sharded)[name], weights(long)[name]], UNEVEN))
        assert torch.allclose(weight, other[name], atol=1e-7)
    load_model(str(target), torch.float32, CPU)


def test_one_shard_with_an_index(long: Path, short: Path, target: Path) -> None:
    shard = "model-00001-of-00001.safetensors"
    (long / "model.safetensors").rename(long / shard)
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights(long), shard)}
    (long / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    merge([long, short], target)
    load_model(str(target), torch.float32, CPU)


def test_half_precision_is_rounded_once(make: Make, target: Path) -> None:
    models = [make(f"m{seed}", seed, dtype=torch.bfloat16) for seed in (1, 2)]
    merged = merge(models, target, MergePlan(UNEVEN))
    for name, weight in merged.items():
        assert weight.dtype == torch.bfloat16
        in_single = weighted_average([weights(model)[name].float() for model in models], UNEVEN)
        assert torch.equal(weight, in_single.bfloat16())


def test_untied_models(make: Make, target: Path) -> None:
    models = [make(f"m{seed}", seed, tied=False) for seed in (1, 2)]
    assert "lm_head.weight" in merge(models, target)
    model = load_model(str(target), torch.float32, CPU)
    assert model.get_input_embeddings().weight is not model.get_output_embeddings().weight


def test_what_has_no_average_must_agree(long: Path, short: Path, target: Path) -> None:
    for folder in (long, short):
        rewrite(folder / "model.safetensors", lambda tensors: tensors.update(positions=torch.arange(5)))
    assert merge([long, short], target)["positions"].tolist() == [0, 1, 2, 3, 4]
    shutil.rmtree(target)
    rewrite(short / "model.safetensors", lambda tensors: tensors.update(positions=torch.arange(1, 6)))
    assert "positions is of type I64, which has no average, and the models differ" in why_not([long, short], target)


def test_models_of_another_architecture(long: Path, short: Path, target: Path) -> None:
    edit(short / "config.json", model_type="mistral", architectures=["MistralForCausalLM"])
    assert "architectures differ (model_type 'llama' and 'mistral')" in why_not([long, short], target)


def test_tensors_that_one_side_lacks(long: Path, short: Path, target: Path) -> None:
    gone = sorted(weights(short))[:5]
    rewrite(short / "model.safetensors", lambda tensors: [tensors.pop(name) for name in gone] and None)
    for models in ([long, short], [short, long]):
        message = why_not(models, target)
        assert f"{short} lacks 5 tensor(s) that {long} has: {', '.join(gone[:3])} …" in message


def test_shapes_that_differ(make: Make, long: Path, target: Path) -> None:
    message = why_not([long, make("wide", 2, intermediate_size=48)], target)
    assert "the shapes of 6 tensor(s) differ: model.layers.0.mlp.down_proj.weight [16, 32] and [16, 48]" in message


def test_types_that_differ(make: Make, long: Path, target: Path) -> None:
    message = why_not([long, make("half", 2, dtype=torch.bfloat16)], target)
    assert "tensor(s) differ: " in message
    assert "F32 and BF16" in message


def test_vocabularies_that_differ(make: Make, long: Path, short: Path, target: Path) -> None:
    assert "vocabularies differ (vocab_size 259 and 300)" in why_not([long, make("m", 2, vocab_size=300)], target)
    tokenizer = json.loads((short / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (short / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert "vocabularies differ in 2 token(s), e.g. 'a' is " in why_not([long, short], target)


def test_the_same_vocabulary_written_otherwise(long: Path, short: Path, target: Path) -> None:
    edit(short / "tokenizer.json", truncation=None, version="1.0")
    assert (short / "tokenizer.json").read_bytes() != (long / "tokenizer.json").read_bytes()
    merge([long, short], target)


def test_tied_with_untied(make: Make, long: Path, target: Path) -> None:
    message = why_not([long, make("untied", 2, tied=False)], target)
    assert "one ties its input and output embeddings and the other does not" in message


@pytest.mark.parametrize("keep", [4, 100, 20_000])
def test_weights_that_are_cut_short(long: Path, short: Path, target: Path, keep: int) -> None:
    path = short / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    message = why_not([long, short], target)
    assert f"{path} is damaged: it is cut short" in message
    assert "copy or download the model again" in message


@pytest.mark.parametrize(
    "header", [b"{", b"[]", b'{"a": {}}', b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}']
)
def test_headers_that_are_wrong(long: Path, short: Path, target: Path, header: bytes) -> None:
    (short / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert "model.safetensors is damaged: it is " in why_not([long, short], target)


def test_an_index_that_is_wrong(make: Make, long: Path, target: Path) -> None:
    sharded = make("sharded", 3, shard="8KB")
    shard = max(sharded.glob("*.safetensors"))
    data = shard.read_bytes()
    shard.unlink()
    assert f"names the file {shard.name}, which is not there" in why_not([long, sharded], target)
    shard.write_bytes(data)
    index = sharded / "model.safetensors.index.json"
    found = json.loads(index.read_text(encoding="utf-8"))
    found["weight_map"].pop("model.norm.weight")
    index.write_text(json.dumps(found), encoding="utf-8")
    assert "do not agree on 1 tensor(s), e.g. model.norm.weight" in why_not([long, sharded], target)
    edit(index, weight_map=["no", "table"])
    assert "is no index of weights" in why_not([long, sharded], target)


def test_weights_in_another_form(long: Path, short: Path, target: Path) -> None:
    (short / "model.safetensors").rename(short / "pytorch_model.bin")
    assert "holds no safetensors weights" in why_not([long, short], target)


def test_a_model_that_is_not_there(long: Path, target: Path) -> None:
    assert "no model '/no/such/model'" in why_not([long, Path("/no/such/model")], target)


def test_plans_that_make_no_sense(long: Path, short: Path, target: Path) -> None:
    assert "at least two models (got 1)" in why_not([long], target, MergePlan((1,)))
    assert "3 weight(s) were given for 2 model(s)" in why_not([long, short], target, MergePlan((1, 1, 1)))
    assert "not negative (got -1)" in why_not([long, short], target, MergePlan((2, -1)))
    assert "all weights are zero" in why_not([long, short], target, MergePlan((0, 0)))
    assert "ties needs the base model" in why_not([long, short], target, MergePlan((1, 1), "ties"))
    assert "linear takes no base model" in why_not([long, short], target, MergePlan((1, 1), base=str(long)))
    assert "slerp merges two models (got 3)" in why_not([long, short, long], target, MergePlan((1, 1, 1), "slerp"))
    assert "density must be" in why_not([long, short], target, MergePlan((1, 1), "ties", 0.0, str(long)))


def test_a_shard_that_is_cut_under_way_leaves_nothing(long: Path, short: Path, target: Path) -> None:
    def cut(done: int, _total: int) -> None:
        if done == 3:
            os.truncate(short / "model.safetensors", 5000)

    with pytest.raises(ModelError, match="became shorter while it was read"):
        write_merge([str(long), str(short)], target, HALVES, cut)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_ends_a_merge_leaves_the_model_that_was_there(
    long: Path, short: Path, target: Path, error: BaseException
) -> None:
    before = merge([long, short], target)

    def end(done: int, _total: int) -> None:
        if done == 3:
            raise error

    with pytest.raises((KeyboardInterrupt, ModelError)) as caught:
        write_merge([str(short), str(long)], target, MergePlan(UNEVEN), end, overwrite=True)
    if isinstance(error, OSError):
        assert f"cannot write {target}: No space left on device; nothing was kept" in str(caught.value)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    after = weights(target)
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_a_target_that_is_there(long: Path, short: Path, target: Path, tmp_path: Path) -> None:
    merge([long, short], target)
    assert "exists already; name another folder, or replace it with --overwrite" in why_not([long, short], target)
    merged = merge([long, short], target, MergePlan((0, 1)), overwrite=True)
    assert torch.equal(merged["model.norm.weight"], weights(short)["model.norm.weight"])
    assert "is to be merged; name another folder" in why_not([long, short], long, overwrite=True)
    assert "is to be merged; name another folder" in why_not([long, short], tmp_path / "models", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert "is no model's folder, so it is not replaced" in why_not([long, short], tmp_path / "mine", overwrite=True)


def test_a_target_that_cannot_be_written(long: Path, short: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot write" in why_not([long, short], tmp_path / "file" / "merged")


def test_the_card(long: Path, short: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (long, short):
        (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# A model\n", encoding="utf-8")
    monkeypatch.chdir(long.parent)
    write_merge(["long", str(short)], target, MergePlan((1, 3)), silent)
    card = (target / "README.md").read_text(encoding="utf-8")
    front = card.split("---\n")[1].splitlines()
    assert front[:2] == ["library_name: transformers", "license: apache-2.0"]
    assert front[2:] == ["base_model:", '- "long"', '- "short"', "tags:", "- merge", "- perilune"]
    size = (long / "model.safetensors").stat().st_size
    assert f"| long | 0.25 | apache-2.0 | model.safetensors ({size} bytes) |" in card
    assert "| short | 0.75 |" in card
    assert "Method: `linear`, the weighted average" in card
    assert str(long.parent) not in card


def test_licences_that_differ_are_told_and_not_chosen_from(long: Path, short: Path, target: Path) -> None:
    (long / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    merge([long, short], target)
    card = (target / "README.md").read_text(encoding="utf-8")
    assert "\nlicense:" not in card
    assert "| mit |" in card
    assert "| not stated |" in card


def test_a_hub_id_is_taken_from_the_cache(long: Path, short: Path, tmp_path: Path) -> None:
    # The hub's settings are read when its package is imported, so this needs a process of its own.
    snapshot = tmp_path / "hub" / "models--someone--model" / "snapshots" / "0123abc"
    shutil.copytree(short, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0123abc", encoding="utf-8")
    program = (
        "import sys\nfrom pathlib import Path\nfrom perilune.backends.merging import MergePlan, write_merge\n"
        "write_merge([sys.argv[1], 'someone/model'], Path(sys.argv[2]), MergePlan((1, 1)), lambda *_: None)\n"
    )
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", program, str(long), str(tmp_path / "merged")]
    subprocess.run(command, check=True, env=environment | {"PYTHONPATH": str(Path.cwd())}, timeout=120)
    expected = (weights(long)["model.norm.weight"] + weights(short)["model.norm.weight"]) / 2
    assert torch.equal(weights(tmp_path / "merged")["model.norm.weight"], expected)
    assert '- "someone/model"' in (tmp_path / "merged" / "README.md").read_text(encoding="utf-8")


MERGEKIT = """\
import json, sys
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
for config, target in json.loads(sys.argv[1]):
    run_merge(MergeConfiguration.model_validate(config), target, MergeOptions(quiet=True, copy_tokenizer=False))
"""


def test_mergekit_itself_gives_the_same_models(make: Make, long: Path, short: Path, tmp_path: Path) -> None:
    base = make("base", 3)
    pair = [{"model": str(m), "parameters": {"weight": w}} for m, w in zip((long, short), UNEVEN, strict=True)]
    sparse = [{**entry, "parameters": {**entry["parameters"], "density": 0.5}} for entry in pair]  # type: ignore[dict-item]
    configs = {
        "linear": {"merge_method": "linear", "models": pair},
        "slerp": {
            "merge_method": "slerp",
            "models": [{"model": str(long)}, {"model": str(short)}],
            "base_model": str(long),
            "parameters": {"t": UNEVEN[1]},
        },
        "ties": {"merge_method": "ties", "models": sparse, "base_model": str(base)},
    }
    asked = [(config, str(tmp_path / "theirs" / name)) for name, config in configs.items()]
    subprocess.run([sys.executable, "-W", "ignore", "-c", MERGEKIT, json.dumps(asked)], check=True, timeout=240)
    for name in configs:
        plan = MergePlan(UNEVEN, name, 0.5, str(base) if name == "ties" else None)  # type: ignore[arg-type]
        merged = merge([long, short], tmp_path / "ours" / name, plan)
        theirs = weights(tmp_path / "theirs" / name)
        assert merged.keys() == theirs.keys()
        for tensor, weight in merged.items():
            assert torch.equal(weight, theirs[tensor]), (name, tensor)


@pytest.mark.parametrize("method", ["slerp", "ties", "dare_linear", "dare_ties"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mergekits_methods_make_models_that_load(
    make: Make, target: Path, method: str, dtype: torch.dtype, capfd: pytest.CaptureFixture[str]
) -> None:
    models = [make("long", 1, dtype=dtype), make("short", 2, dtype=dtype)]
    # A base of another type is what a model that was trained in float32 comes from.
    base = str(make("base", 3)) if method != "slerp" else None
    state = torch.random.get_rng_state()
    capfd.readouterr()
    config = MergeConfig(method=method, long_weight=0.4, density=0.7)  # type: ignore[arg-type]
    merge_models([str(model) for model in models], target, config=config, base=base, progress=silent)
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.random.get_rng_state(), state)
    first, merged = weights(models[0]), weights(target)
    assert head(target / "model.safetensors") == head(models[0] / "model.safetensors")
    assert not torch.equal(merged["model.embed_tokens.weight"], first["model.embed_tokens.weight"])
    load_model(str(target), torch.float32, CPU)
    card = (target / "README.md").read_text(encoding="utf-8")
    assert f"Method: `{method}`" in card
    assert "Computed with mergekit 0.1." in card
    assert ("seed 0" in card) == method.startswith("dare")
    assert ("base model base, density 0.7" in card) == (method != "slerp")
    if method.startswith("dare"):
        torch.manual_seed(99)
        again = target.with_name("again")
        merge_models([str(model) for model in models], again, config=config, base=base, progress=silent)
        assert (again / "model.safetensors").read_bytes() == (target / "model.safetensors").read_bytes()


def test_slerp_goes_from_the_first_model_to_the_second(long: Path, short: Path, target: Path) -> None:
    for share, model in ((1.0, long), (0.0, short)):
        merged = merge([long, short], target, MergePlan((share, 1 - share), "slerp"), overwrite=True)
        for name, weight in weights(model).items():
            assert torch.allclose(merged[name], weight, atol=1e-6)


def test_without_mergekit_its_methods_say_what_to_install(
    long: Path, short: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", missing)
    with pytest.raises(BackendUnavailable, match=r"needs mergekit: pip install 'perilune\[merge\]'"):
        merge([long, short], target, MergePlan((1, 1), "slerp"))
    assert not target.exists()
    merge([long, short], target)


@pytest.mark.builtin_model
def test_memory_does_not_grow_with_the_models(tmp_path: Path) -> None:
    from perilune.backends.builtin_models import fetch_builtin

    folder = fetch_builtin("smollm2-135m-instruct")
    (tmp_path / "twin").symlink_to(folder)
    program = (
        "import sys\nfrom pathlib import Path\nfrom perilune.backends.merging import MergePlan, write_merge\n"
        "write_merge(sys.argv[1:3], Path(sys.argv[3]), MergePlan((1, 1)), lambda *_: None)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "twin"), str(tmp_path / "merged")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    size = (folder / "model.safetensors").stat().st_size
    assert int(done.stdout) * 1024 <= 1.5 * size
    # The average of a model with itself is the model.
    merged, original = (load_file(place / "model.safetensors") for place in (tmp_path / "merged", folder))
    assert all(torch.equal(weight, original[name]) for name, weight in merged.items())
    shutil.rmtree(tmp_path / "merged")
