"""Which architectures the local engine serves, with both its attentions, and which it refuses rather than get wrong."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import Attention, LocalEngine
from perilune.errors import EngineError
from perilune.types import Request

SIZES: dict[str, Any] = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GROUPED = {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 16}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12}
ROUTED = {"n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1}
PLAIN = {"vocab_size": 90, "bos_token_id": None, "eos_token_id": None, "initializer_range": 0.2}
SERVED: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("Qwen3", GROUPED),
    "mistral, a window": ("Mistral", {**GROUPED, "sliding_window": 6}),
    "llama, one key head of 12": ("Llama", {**GROUPED, "num_key_value_heads": 1, "head_dim": 12}),
    "gemma 2, soft caps and windows": ("Gemma2", {**GROUPED, "attn_logit_softcapping": 5.0, "sliding_window": 6}),
    "gpt-oss, sinks and windows": ("GptOss", {**GROUPED, "sliding_window": 6, "num_local_experts": 4}),
    "deepseek v3, latent attention": (
        "DeepseekV3",
        {**SIZES, **LATENT, **ROUTED, "intermediate_size": 48, "moe_intermediate_size": 32, "num_key_value_heads": 4},
    ),
    "qwen3, experts": ("Qwen3Moe", {**GROUPED, **EXPERTS}),
    "gpt-2, learnt positions": ("GPT2", {**PLAIN, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}),
}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a state": ("Mamba", {**PLAIN, "hidden_size": 32, "num_hidden_layers": 2}, "do not read the cache"),
    "linear attention between": ("Qwen3Next", {**GROUPED, **EXPERTS}, "do not read the cache"),
    "attention of its own": ("Bloom", {**PLAIN, "hidden_size": 32, "n_layer": 2, "n_head": 4}, "do not read the cache"),
    "a window that stays in the mask": (
        "Qwen2Moe",
        {**GROUPED, **EXPERTS, "sliding_window": 6, "use_sliding_window": True, "max_window_layers": 0},
        "window of 6 positions",
    ),
    "a state beside attention": ("FalconH1", GROUPED, "log-probabilities differ by"),
    "a rotation that changes with the longest row": (
        "Llama",
        {**GROUPED, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
        "changes with the longest",
    ),
    "chunks": (
        "Llama4",
        {**GROUPED, "intermediate_size_mlp": 48, "num_local_experts": 2, "attention_chunk_size": 16},
        "chunks of 16 positions",
    ),
}


def build(kind: str, sizes: dict[str, Any], dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    config = next(
        getattr(transformers, name) for name in (f"{kind}TextConfig", f"{kind}Config") if hasattr(transformers, name)
    )
    model = next(
        getattr(transformers, name)
        for name in (f"{kind}ForCausalLM", f"{kind}LMHeadModel")
        if hasattr(transformers, name)
    )
    torch.manual_seed(3)
    built: PreTrainedModel = model(config(**sizes)).to(dtype).eval()
    return built


def make_engine(model: PreTrainedModel, attention: Attention) -> LocalEngine:
    return LocalEngine(model, [10_000], slots=4, detector=lambda: RepetitionDetector(8, 40, 400), attention=attention)


@pytest.fixture(params=["compiled", "torch"])
def attention(request: pytest.FixtureRequest) -> Attention:
    if request.param == "compiled":
        pytest.importorskip("llvmlite")
    chosen: Attention = request.param
    return chosen


@pytest.mark.parametrize("name", SERVED)
def test_log_probabilities_are_the_models_own(name: str, attention: Attention) -> None:
    model = build(*SERVED[name])
    requests = [Request(str(n), tuple(range(3 + n, 17 + 3 * n)), (), 12, 12, seed=n) for n in range(5)]
    done = {c.request_id: c.segment for c in make_engine(model, attention).generate(requests)}
    model.set_attn_implementation("eager")
    for request in requests:
        segment = done[request.id]
        tokens = torch.tensor([[*request.prompt_tokens, *segment.tokens]])
        with torch.inference_mode():
            logits = model(tokens, use_cache=False).logits[0, len(request.prompt_tokens) - 1 : -1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(segment.tokens)[:, None])[:, 0]
        assert segment.logprobs == pytest.approx(expected.tolist(), abs=2e-4)


@pytest.mark.parametrize("name", SERVED)
def test_low_precision_is_not_refused(name: str, attention: Attention) -> None:
    engine = make_engine(build(*SERVED[name], torch.bfloat16), attention)
    (done,) = engine.generate([Request("a", (3, 4, 5), (), 4, 4, seed=0)])
    assert len(done.segment.tokens) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", REFUSED)
def test_what_it_would_get_wrong_is_refused(name: str, dtype: torch.dtype, attention: Attention) -> None:
    kind, sizes, why = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(kind, sizes, dtype)
    with pytest.raises(EngineError, match=f"does not reproduce {kind}.*{why}.*engine.backend = 'vllm'"):
        make_engine(model, attention)


def test_a_model_that_keeps_keywords_to_itself_is_refused(attention: Attention) -> None:
    with pytest.raises(EngineError, match="does not hand its attention"):
        make_engine(build("StableLm", {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2}), attention)


class _Biased(transformers.LlamaForCausalLM):  # type: ignore[misc]
    """Hides the last but one position by its mask: what only a comparison of numbers finds."""

    def forward(self, input_ids: torch.Tensor, **more: Any) -> Any:
        if "slot_batch" not in more and input_ids.shape[1] > 1:
            count = input_ids.shape[1]
            mask = torch.full((count, count), float("-inf")).triu(1)
            mask[torch.arange(2, count), torch.arange(1, count - 1)] = float("-inf")
            more["attention_mask"] = mask[None, None].to(self.dtype)
        return super().forward(input_ids, **more)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_of_its_own_is_refused(dtype: torch.dtype, attention: Attention) -> None:
    torch.manual_seed(0)
    model = _Biased(transformers.LlamaConfig(**GROUPED)).to(dtype).eval()
    with pytest.raises(EngineError, match="log-probabilities differ by"):
        make_engine(model, attention)
