"""What every engine promises, kept by each of them: the local one always, vLLM where it is installed.

vLLM's part runs with ``make test-vllm``. Its kernels for CPUs need heads of 32 or more, hence a model of its own here.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import LocalEngine
from perilune.backends.engines.vllm.core import VllmCore
from perilune.backends.engines.vllm.engine import VllmEngine
from perilune.backends.engines.vllm.host import VllmHost
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.engines.vllm.process import VllmProcess
from perilune.backends.models import weights_of
from perilune.backends.weights.transfer import InProcessTransfer, SharedMemoryTransfer, WeightTransfer
from perilune.errors import EngineError, ModelError
from perilune.protocols import Engine
from perilune.types import Completion, Request, Stop

END = 2
CONTEXT = 768
REPETITION = (8, 4, 16)
HAS_VLLM = importlib.util.find_spec("vllm") is not None


@pytest.fixture
def model(make_llama: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    """Its output layer is the embedding, as the built-in model's."""
    return make_llama(head_dim=32, max_position_embeddings=CONTEXT)


@dataclass
class Maker:
    """Gives engines of one kind with a model's weights; vLLM is started once, and takes new weights."""

    kind: str
    folder: Path
    version: int = 0
    engine: Engine | None = None
    host: VllmHost | None = None
    made: list[VllmEngine] = field(default_factory=list)

    def __call__(self, model: PreTrainedModel) -> Engine:
        self.version += 1
        if self.kind == "local":
            return LocalEngine(
                copy.deepcopy(model),
                (END,),
                slots=4,
                detector=lambda: RepetitionDetector(*REPETITION),
                version=self.version,
            )
        if not self.made:
            self.made.append(self._start(model))
        self.made[0].load_weights(weights_of(model), self.version)
        return self.made[0]

    def _start(self, model: PreTrainedModel) -> VllmEngine:
        folder = self.folder / "model"
        model.save_pretrained(folder)
        options = VllmOptions(
            model=str(folder),
            dtype="float32",
            device="cpu",
            slots=4,
            end_tokens=(END,),
            repetition=REPETITION,
            cache_gb=0.25,
            memory_share=0.85,
            max_model_tokens=None,
            tensor_parallel=1,
            compiled=False,
            sleep=False,
            threads=1,
        )
        transfer: WeightTransfer
        if self.kind == "vllm":
            self.host, transfer = VllmCore(options), InProcessTransfer()
        else:
            self.host = VllmProcess(options, log=self.folder / "engine.log")
            transfer = SharedMemoryTransfer(torch.float32)
        return VllmEngine(self.host, transfer, context=CONTEXT)


def vllm_parameter(name: str) -> object:
    needs = pytest.mark.skipif(not HAS_VLLM, reason="needs vLLM: make test-vllm")
    # What vLLM and what it imports warn of is theirs.
    return pytest.param(name, marks=[pytest.mark.vllm, needs, pytest.mark.filterwarnings("ignore")])


@pytest.fixture(scope="module", params=["local", vllm_parameter("vllm"), vllm_parameter("vllm-process")])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    maker = Maker(request.param, tmp_path_factory.mktemp(request.param))
    yield maker
    for engine in maker.made:
        engine.end()


def request_for(
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


def moved(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The model with other weights."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return other


def saying(model: PreTrainedModel, token: int) -> PreTrainedModel:
    """The model changed into one for which one token is all but certain, whatever came before."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()
        # Each token's embedding is one direction; the output layer, which is the same, likes one of them most.
        embedding = model.get_input_embeddings().weight
        embedding.zero_()
        embedding[:, 0] = 1.0
        embedding[token, 0] = 10.0
        model.model.norm.weight.fill_(1.0)
    return model


def test_logprobs_are_the_models_own(make: Maker, model: PreTrainedModel) -> None:
    engine = make(model)
    requests = [request_for(n, length=3 + n % 5) for n in range(9)]
    completions = by_id(list(engine.generate(requests)))
    assert len(completions) == 9
    for asked in requests:
        segment = completions[asked.id].segment
        assert segment.version == engine.version == make.version
        assert segment.logprobs == pytest.approx(own_logprobs(model, asked.prompt_tokens, segment.tokens), abs=1e-3)


def test_greedy_is_what_transformers_generates(make: Maker, model: PreTrainedModel) -> None:
    requests = [request_for(n, length=4 + 3 * n, heat=0.0, segment=40, limit=40) for n in range(6)]
    completions = by_id(list(make(model).generate(requests)))
    for asked in requests:
        out = model.generate(
            torch.tensor([asked.prompt_tokens]),
            attention_mask=torch.ones(1, len(asked.prompt_tokens)),
            max_new_tokens=40,
            do_sample=False,
        )
        produced = completions[asked.id].segment.tokens
        # Transformers knows nothing of repetition.
        assert list(produced) == out[0, len(asked.prompt_tokens) :][: len(produced)].tolist()


def test_logprobs_are_at_temperature_one_over_the_whole_vocabulary(make: Maker, model: PreTrainedModel) -> None:
    asked = [Request(str(n), (5, 6, 7), (), 12, 12, seed=n, temperature=0.5, top_p=0.8) for n in range(4)]
    for completion in make(model).generate(asked):
        expected = own_logprobs(model, (5, 6, 7), completion.segment.tokens)
        assert completion.segment.logprobs == pytest.approx(expected, abs=1e-3)


def test_segments_equal_one_piece(make: Maker, model: PreTrainedModel) -> None:
    engine = make(model)
    whole = by_id(list(engine.generate([request_for(n, heat=0.0) for n in range(4)])))
    for n in range(4):
        tokens: tuple[int, ...] = ()
        stops: list[Stop] = []
        while not stops or not stops[-1].terminal:
            (part,) = engine.generate([request_for(n, earlier=tokens, segment=7, heat=0.0)])
            tokens += part.segment.tokens
            stops.append(part.segment.stop)
        assert tokens == whole[str(n)].segment.tokens
        assert stops[-1] is whole[str(n)].segment.stop
        assert set(stops[:-1]) <= {Stop.CUT}


def test_a_seed_gives_a_response_and_siblings_differ(make: Maker, model: PreTrainedModel) -> None:
    engine = make(model)
    siblings = [Request(str(n), (5, 6, 7, 8), (), 12, 12, seed=n) for n in range(10)]
    first, second = (by_id(list(engine.generate(siblings))) for _ in range(2))
    assert len({completion.segment.tokens for completion in first.values()}) == 10
    assert {n: c.segment.tokens for n, c in first.items()} == {n: c.segment.tokens for n, c in second.items()}


def test_a_continued_response_draws_new_numbers(make: Maker, model: PreTrainedModel) -> None:
    # With the numbers of its beginning again, a uniform model would say its beginning again.
    engine = make(saying_nothing(model))
    (first,) = engine.generate([request_for(1, segment=8, limit=40)])
    (second,) = engine.generate([request_for(1, segment=8, limit=40, earlier=first.segment.tokens)])
    assert first.segment.tokens != second.segment.tokens


def test_a_weight_update_leaves_no_stale_cache(make: Maker, model: PreTrainedModel) -> None:
    # Longer than vLLM's blocks of 128 tokens, so that there is something to be found in its cache.
    asked = request_for(1, length=300, segment=40, limit=200)
    (first,) = make(model).generate([asked])
    for seed in (1, 2):
        changed = moved(model, seed)
        engine = make(changed)
        continued = request_for(1, length=300, earlier=first.segment.tokens, segment=40, limit=200)
        for again in (asked, continued):
            (found,) = engine.generate([again])
            assert found.segment.version == make.version
            context = (*again.prompt_tokens, *again.response_tokens)
            expected = own_logprobs(changed, context, found.segment.tokens)
            assert found.segment.logprobs == pytest.approx(expected, abs=1e-3)
            old = own_logprobs(model, context, found.segment.tokens)
            assert max(abs(a - b) for a, b in zip(found.segment.logprobs, old, strict=True)) > 0.05


def test_budgets_count_what_was_generated_before(make: Maker, model: PreTrainedModel) -> None:
    engine = make(saying_nothing(model))
    (cut,) = engine.generate([request_for(2, segment=6, limit=10)])
    assert (len(cut.segment.tokens), cut.segment.stop) == (6, Stop.CUT)
    (rest,) = engine.generate([request_for(2, earlier=cut.segment.tokens, segment=6, limit=10)])
    assert (len(rest.segment.tokens), rest.segment.stop) == (4, Stop.LIMIT)
    (exact,) = engine.generate([request_for(2, segment=10, limit=10)])
    assert exact.segment.stop is Stop.LIMIT


def saying_nothing(model: PreTrainedModel) -> PreTrainedModel:
    """The model changed: every token is as likely as any other: no end within a few tokens, and no repetition."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        model.model.norm.weight.zero_()
    return model


def test_stops_on_end_token_and_on_repetition_while_it_generates(make: Maker, model: PreTrainedModel) -> None:
    (ended,) = make(saying(model, END)).generate([request_for(0)])
    assert (ended.segment.tokens, ended.segment.stop) == ((END,), Stop.ENDED)
    engine = make(saying(model, 9))
    (repeated,) = engine.generate([request_for(0, segment=50, limit=50)])
    assert (repeated.segment.tokens, repeated.segment.stop) == ((9,) * 16, Stop.REPEATED)
    (resumed,) = engine.generate([request_for(0, earlier=(9,) * 10, segment=50, limit=50)])
    assert (len(resumed.segment.tokens), resumed.segment.stop) == (6, Stop.REPEATED)


def test_each_of_many_requests_is_answered_once(make: Maker, model: PreTrainedModel) -> None:
    requests = [request_for(n, length=2 + n % 7, segment=3 + n % 9) for n in range(30)]
    completions = list(make(model).generate(requests))
    assert sorted(c.request_id for c in completions) == sorted(r.id for r in requests)


def test_what_is_broken_off_leaves_no_trace(make: Maker, model: PreTrainedModel) -> None:
    engine = make(model)
    requests = [request_for(n, segment=60, limit=60) for n in range(8)]
    whole = by_id(list(engine.generate(requests)))
    for _ in range(2):
        started = engine.generate(requests)
        next(started)
        started.close()  # type: ignore[attr-defined]
    again = by_id(list(engine.generate(requests)))
    assert {n: c.segment.tokens for n, c in again.items()} == {n: c.segment.tokens for n, c in whole.items()}


def test_refuses_what_it_cannot_serve(make: Maker, model: PreTrainedModel) -> None:
    engine = make(model)
    with pytest.raises(EngineError, match=f"exceed the model's context of {CONTEXT}"):
        list(engine.generate([request_for(0, limit=800)]))
    with pytest.raises(EngineError, match="nothing left to generate"):
        list(engine.generate([request_for(0, earlier=(5,) * 20)]))
    with pytest.raises(EngineError, match="the prompt is empty"):
        list(engine.generate([request_for(0, length=0)]))
    assert list(engine.generate([])) == []


Change = Callable[[list[tuple[str, torch.Tensor]]], list[tuple[str, torch.Tensor]]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda weights: weights[:-1], id="missing"),
        pytest.param(lambda weights: [("model.nowhere.weight", torch.zeros(3)), *weights], id="unknown"),
        pytest.param(lambda weights: [(weights[0][0], torch.zeros(3, 3)), *weights[1:]], id="other-shape"),
    ],
)
def test_refuses_weights_of_another_model_and_takes_the_right_ones_after_it(
    make: Maker, model: PreTrainedModel, change: Change
) -> None:
    engine = make(model)
    with pytest.raises(ModelError):
        engine.load_weights(change(list(weights_of(model))), version=make.version + 1)
    engine = make(model)
    (completion,) = engine.generate([request_for(3)])
    expected = own_logprobs(model, request_for(3).prompt_tokens, completion.segment.tokens)
    assert completion.segment.logprobs == pytest.approx(expected, abs=1e-3)
