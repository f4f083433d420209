"""The local engine against transformers' own forward pass and generate."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from transformers import (
    FalconConfig,
    FalconForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import Attention, LocalEngine
from perilune.errors import EngineError, ModelError
from perilune.types import Completion, Request, Stop

END = 2
NEVER = (10_000,)


def make_engine(
    model: PreTrainedModel, ends: Sequence[int] = (END,), slots: int = 4, attention: Attention = "auto"
) -> LocalEngine:
    if attention == "compiled":
        pytest.importorskip("llvmlite")
    detector = partial(RepetitionDetector, 8, 4, 16)
    return LocalEngine(copy.deepcopy(model), ends, slots=slots, detector=detector, attention=attention)


def request(
    number: int,
    *,
    length: int = 5,
    earlier: tuple[int, ...] = (),
    segment: int = 20,
    limit: int = 20,
    heat: float = 1.0,
) -> Request:
    prompt = tuple((7 * number + 3 * place) % 250 + 3 for place in range(length))
    return Request(str(number), prompt, earlier, segment, limit, seed=number + 1, temperature=heat)


def by_id(completions: Sequence[Completion]) -> dict[str, Completion]:
    return {completion.request_id: completion for completion in completions}


def own_logprobs(model: PreTrainedModel, prompt: Sequence[int], response: Sequence[int]) -> list[float]:
    """log pi of each response token by the unchanged model."""
    tokens = torch.tensor([[*prompt, *response]])
    with torch.inference_mode():
        logprobs = model(tokens).logits[0].float().log_softmax(-1)
    places = range(len(prompt) - 1, tokens.shape[1] - 1)
    return [float(logprobs[place, token]) for place, token in zip(places, response, strict=True)]


def test_each_step_is_a_sign_of_life(tiny_model: PreTrainedModel) -> None:
    signs: list[None] = []
    engine = LocalEngine(
        copy.deepcopy(tiny_model),
        NEVER,
        slots=4,
        detector=lambda: RepetitionDetector(8, 40, 400),
        alive=lambda: signs.append(None),
    )
    signs.clear()
    # Twenty tokens each, one a step, and nothing is handed out before the last.
    next(engine.generate([request(n) for n in range(4)]))
    assert len(signs) == 20


def test_logprobs_are_the_models_own(tiny_model: PreTrainedModel) -> None:
    requests = [request(n, length=3 + n % 5) for n in range(9)]
    completions = by_id(list(make_engine(tiny_model).generate(requests)))
    assert len(completions) == 9
    for asked in requests:
        segment = completions[asked.id].segment
        expected = own_logprobs(tiny_model, asked.prompt_tokens, segment.tokens)
        assert segment.logprobs == pytest.approx(expected, abs=1e-4)


def test_greedy_is_what_generate_gives(tiny_model: PreTrainedModel) -> None:
    asked = request(3, heat=0.0)
    (completion,) = make_engine(tiny_model).generate([asked])
    out = tiny_model.generate(
        torch.tensor([asked.prompt_tokens]), attention_mask=torch.ones(1, 5), max_new_tokens=20, do_sample=False
    )
    produced = completion.segment.tokens
    assert list(produced) == out[0, 5 : 5 + len(produced)].tolist()


@pytest.mark.parametrize("attention", ["compiled", "torch"])
def test_segments_equal_one_piece(tiny_model: PreTrainedModel, attention: Attention) -> None:
    engine = make_engine(tiny_model, NEVER, attention=attention)
    whole = by_id(list(engine.generate([request(n) for n in range(6)])))
    for n in range(6):
        tokens: tuple[int, ...] = ()
        logprobs: tuple[float, ...] = ()
        stops = []
        while len(tokens) < 20 and Stop.REPEATED not in stops:
            (part,) = engine.generate([request(n, earlier=tokens, segment=7)])
            tokens += part.segment.tokens
            logprobs += part.segment.logprobs
            stops.append(part.segment.stop)
        segment = whole[str(n)].segment
        assert tokens == segment.tokens
        # The compiled attention computes a token's keys and values alike, admitted or decoded.
        close = 0.0 if attention == "compiled" else 1e-5
        assert logprobs == pytest.approx(segment.logprobs, abs=close, rel=0)
        assert stops[-1] is segment.stop
        assert set(stops[:-1]) <= {Stop.CUT}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shortest", "longest"), [(2, 9), (100, 620)])
@pytest.mark.parametrize("attention", ["compiled", "torch"])
def test_a_response_does_not_depend_on_its_batch(
    attention: Attention, shortest: int, longest: int, threads: int, dtype: torch.dtype
) -> None:
    # Three query heads to a key/value head: fewer rows than a matrix product's whole block.
    sizes = {"vocab_size": 300, "hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16}
    sizes["max_position_embeddings"] = 700
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**{**SHAPE, **sizes})).to(dtype)
    requests = [
        replace(
            request(n, length=shortest + 47 * n % (longest - shortest), segment=12, limit=30),
            response_tokens=tuple(range(3, 3 + 5 * (n % 3))),
        )
        for n in range(24)
    ]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        crowd = by_id(list(make_engine(model, NEVER, 20, attention).generate(requests)))
        # What an interrupted rollout has left to do: any part, in slots of any number.
        for slots, part in ((20, requests[::2]), (3, requests[:7]), (20, requests[23:]), (1, requests[4:6])):
            for completion in make_engine(model, NEVER, slots, attention).generate(part):
                assert completion.segment == crowd[completion.request_id].segment
    finally:
        torch.set_num_threads(before)


def test_siblings_share_a_prompt_and_differ_in_their_streams(tiny_model: PreTrainedModel) -> None:
    prompt = (5, 6, 7, 8)
    siblings = [Request(str(n), prompt, (), 12, 12, seed=n) for n in range(10)]
    completions = list(make_engine(tiny_model, NEVER, slots=3).generate(siblings))
    assert len({completion.segment.tokens for completion in completions}) == 10
    for completion in completions:
        expected = own_logprobs(tiny_model, prompt, completion.segment.tokens)
        assert completion.segment.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_weight_update_leaves_no_stale_cache(tiny_model: PreTrainedModel) -> None:
    engine = make_engine(tiny_model, NEVER)
    asked = request(1, segment=8)
    (first,) = engine.generate([asked])
    changed = copy.deepcopy(tiny_model)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    engine.load_weights(changed.named_parameters(), version=4)
    (second,) = engine.generate([request(1, earlier=first.segment.tokens, segment=8)])
    assert engine.version == second.segment.version == 4
    assert first.segment.version == 0
    context = (*asked.prompt_tokens, *first.segment.tokens)
    assert second.segment.logprobs == pytest.approx(own_logprobs(changed, context, second.segment.tokens), abs=1e-4)
    old = own_logprobs(tiny_model, context, second.segment.tokens)
    assert max(abs(a - b) for a, b in zip(second.segment.logprobs, old, strict=True)) > 0.01


def test_budgets_count_what_was_generated_before(tiny_model: PreTrainedModel) -> None:
    engine = make_engine(tiny_model, NEVER)
    (cut,) = engine.generate([request(2, segment=6, limit=10)])
    assert (len(cut.segment.tokens), cut.segment.stop) == (6, Stop.CUT)
    (rest,) = engine.generate([request(2, earlier=cut.segment.tokens, segment=6, limit=10)])
    assert (len(rest.segment.tokens), rest.segment.stop) == (4, Stop.LIMIT)
    (exact,) = engine.generate([request(2, segment=10, limit=10)])
    assert exact.segment.stop is Stop.LIMIT


def favouring(model: PreTrainedModel, token: int) -> PreTrainedModel:
    """The model with a final norm and output head that make one token all but certain."""
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
        model.lm_head.weight[token] = 0.0
        model.lm_head.weight[[row for row in range(259) if row != token]] = 0.0
        model.model.norm.weight.fill_(1.0)
    model.lm_head = torch.nn.Linear(64, 259, bias=True)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.fill_(-30.0)
        model.lm_head.bias[token] = 0.0
    return model


def test_stops_on_end_token_and_on_repetition(tiny_model: PreTrainedModel) -> None:
    (ended,) = make_engine(favouring(copy.deepcopy(tiny_model), END)).generate([request(0)])
    assert (ended.segment.tokens, ended.segment.stop) == ((END,), Stop.ENDED)
    (repeated,) = make_engine(favouring(tiny_model, 9)).generate([request(0, segment=50, limit=50)])
    assert (repeated.segment.tokens, repeated.segment.stop) == ((9,) * 16, Stop.REPEATED)
    earlier = (9,) * 10
    (resumed,) = make_engine(favouring(tiny_model, 9)).generate([request(0, earlier=earlier, segment=50, limit=50)])
    assert (len(resumed.segment.tokens), resumed.segment.stop) == (6, Stop.REPEATED)


def test_a_free_slot_is_taken_at_once(tiny_model: PreTrainedModel) -> None:
    engine = make_engine(tiny_model, NEVER, slots=4)
    calls: list[int] = []
    engine._model.register_forward_hook(lambda *_: calls.append(1))
    lengths = [16, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    list(engine.generate([request(n, segment=length, limit=length) for n, length in enumerate(lengths)]))
    # One slot makes the 16; the other three share 28 tokens, ten steps, in its shadow.
    assert len(calls) == 16


def test_refuses_what_it_cannot_serve(tiny_model: PreTrainedModel) -> None:
    engine = make_engine(tiny_model)
    with pytest.raises(EngineError, match="exceed the model's context of 512"):
        list(engine.generate([request(0, limit=600)]))
    with pytest.raises(EngineError, match="nothing left to generate"):
        list(engine.generate([request(0, earlier=(5,) * 20)]))
    with pytest.raises(EngineError, match="the prompt is empty"):
        list(engine.generate([request(0, length=0)]))
    assert list(engine.generate([])) == []


def test_refuses_weights_of_another_model(tiny_model: PreTrainedModel) -> None:
    engine = make_engine(tiny_model)
    weights = dict(tiny_model.named_parameters())
    name = next(iter(weights))
    with pytest.raises(ModelError, match=name):
        engine.load_weights([(name, torch.zeros(3, 3))], version=1)
    with pytest.raises(ModelError, match="not given"):
        engine.load_weights(list(weights.items())[1:], version=1)


SHAPE = {
    "vocab_size": 90,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.15,
}


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)), id="qwen3"),
        pytest.param(lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=6)), id="mistral-window"),
    ],
)
def test_serves_other_architectures(model: object) -> None:
    torch.manual_seed(1)
    built = model().eval()  # type: ignore[operator]
    asked = Request("a", tuple(range(3, 14)), (), 12, 12, seed=5)
    (completion,) = make_engine(built, NEVER).generate([asked])
    expected = own_logprobs(built, asked.prompt_tokens, completion.segment.tokens)
    assert completion.segment.logprobs == pytest.approx(expected, abs=1e-4)


def test_refuses_an_architecture_that_it_would_get_wrong() -> None:
    model = FalconForCausalLM(
        FalconConfig(vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True)
    )
    with pytest.raises(EngineError, match="FalconForCausalLM"):
        make_engine(model.eval())
