"""The embedded engine: continuous batching over preallocated slots, on CPU and CUDA.

A step is schedule → run → postprocess. Each occupied slot contributes its newest token; a response admitted in the
step contributes its earlier tokens too, in the same forward pass, so a free place is taken at once. Siblings of a
group share the computation of their prompt. Nothing survives a call of ``generate``: no cache outlives its weights.

A response has the same tokens and log-probabilities, bit for bit, whatever it was batched with: so an interrupted
rollout goes on to what it would have been. Matrix products choose their kernel by the number of rows, so rows are
padded to whole blocks, for which the same kernel serves all (:mod:`perilune.backends.engines.products`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.algorithm.streams import uniforms
from perilune.backends.engines.cache import KeyValueCache
from perilune.backends.engines.drafts import Drafts
from perilune.backends.engines.interface import ATTENTION_NAME
from perilune.backends.engines.paged import PagedCache, check_kernel
from perilune.backends.engines.products import Product, Products, packed
from perilune.backends.engines.queue import LongestFirst
from perilune.backends.engines.requests import check_request
from perilune.backends.engines.sampling import sample_tokens
from perilune.backends.engines.slots import SlotCache
from perilune.backends.engines.verify import check_layers, check_values, refused
from perilune.backends.models import copy_weights
from perilune.errors import EngineError
from perilune.types import Completion, Request, Segment, Stop

_PREFILL_TOKENS = 2048
"""Earlier tokens admitted in one step, so that running responses do not stall behind a wave of new ones."""
_COMPILED_TYPES = (torch.float32, torch.bfloat16)

Attention = Literal["auto", "compiled", "torch"]
"""auto: compiled on a CPU, where it can be made; else torch's own."""


@dataclass(slots=True)
class _Row:
    """One occupied slot."""

    request: Request
    group: int
    """The same for all that answer one prompt."""
    tokens: list[int]
    """Prompt and response; all but the newest are in the cache, or will be within this step."""
    detector: RepetitionDetector
    new_tokens: list[int] = field(default_factory=list)
    new_logprobs: list[float] = field(default_factory=list)

    @property
    def left(self) -> int:
        """New tokens that it may still take."""
        length = len(self.tokens) - len(self.request.prompt_tokens)
        return min(self.request.segment_tokens - len(self.new_tokens), self.request.max_response_tokens - length)


class LocalEngine:
    """Implements :class:`perilune.protocols.Engine` on a Hugging Face causal language model."""

    def __init__(
        self,
        model: PreTrainedModel,
        end_tokens: Iterable[int],
        *,
        slots: int,
        detector: Callable[[], RepetitionDetector],
        version: int = 0,
        alive: Callable[[], None] = lambda: None,
        attention: Attention = "auto",
        drafts: bool = True,
        make: Callable[[str, nn.Linear], Product | None] = packed,
    ):
        """Take ownership of the model; it keeps its dtype and device.

        Args:
            model: used for generation alone from here on.
            end_tokens: ids that end a response.
            slots: responses generated side by side, at most.
            detector: makes a fresh repetition detector, one per response.
            version: the policy version of the model's present weights.
            alive: called before each step.
            attention: which one reads the cache.
            drafts: fill up blocks of rows with guesses from siblings, where the attention takes them.
            make: products for linear layers, see :class:`perilune.backends.engines.products.Products`.

        Raises:
            EngineError: the engine does not reproduce this model's own attention, or the compiled attention is asked
                for and cannot be made.
        """
        self._model = model.eval()
        self._end_tokens = frozenset(end_tokens)
        self._slots = slots
        self._new_detector = detector
        self._version = version
        self._alive = alive
        self._drafts = drafts
        self._device = model.device
        self._config = model.config.get_text_config()
        self._compiled = self._choose(attention)
        self._products = Products(self._model, make)
        self._rows = self._products.rows
        self._start()

    @property
    def version(self) -> int:
        """The policy version of the weights it holds."""
        return self._version

    def load_weights(self, weights: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Take new weights under their Hugging Face names."""
        copy_weights(self._model, weights, self._products.take)
        self._products.refresh()
        self._version = version

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion per request as each finishes.

        Raises:
            EngineError: a request is empty, already at its limit, or longer than the model's context.
        """
        for request in requests:
            check_request(request, getattr(self._config, "max_position_embeddings", None))
        if not requests:
            return
        waiting = LongestFirst(requests)
        cache = self._allocate(requests)
        drafts = Drafts()
        rows: list[_Row] = []
        while waiting or rows:
            self._schedule(waiting, rows, cache, drafts)
            drawn = self._run(rows, cache, drafts)
            yield from self._postprocess(rows, cache, drawn, waiting, drafts)

    def _allocate(self, requests: Sequence[Request]) -> KeyValueCache:
        longest = max(
            len(r.prompt_tokens) + min(r.max_response_tokens, len(r.response_tokens) + r.segment_tokens)
            for r in requests
        )
        slots = min(self._slots, len(requests))
        return self._cache(slots, longest)

    def _cache(self, slots: int, capacity: int) -> KeyValueCache:
        if self._compiled:
            return PagedCache(slots, capacity, self._model.dtype)
        return SlotCache(slots, capacity, self._model.dtype, self._device)

    def _choose(self, attention: Attention) -> bool:
        """Whether the compiled attention is used."""
        if attention == "torch":
            return False
        fits = self._device.type == "cpu" and self._model.dtype in _COMPILED_TYPES
        if not fits and attention == "compiled":
            raise EngineError(
                f"the compiled attention is for a CPU in float32 or bfloat16, not for {self._device} in "
                f"{self._model.dtype}; set engine.attention = 'auto'"
            )
        try:
            if fits:
                check_kernel()
        except EngineError:
            if attention == "compiled":
                raise
            return False
        return fits

    def _schedule(self, waiting: LongestFirst, rows: list[_Row], cache: KeyValueCache, drafts: Drafts) -> None:
        """Admit waiting requests to free slots."""
        while waiting and len(rows) < cache.slots and cache.unread < _PREFILL_TOKENS:
            group, request = waiting.pop()
            detector = self._new_detector()
            for token in request.response_tokens:
                detector.push(token)
            tokens = [*request.prompt_tokens, *request.response_tokens]
            rows.append(_Row(request, group, tokens, detector))
            drafts.begin(group, tokens)
            cache.admit(tokens)

    def _run(self, rows: Sequence[_Row], cache: KeyValueCache, drafts: Drafts) -> list[list[tuple[int, float]]]:
        """One forward pass, and a draw per row and accepted guess: each row's new tokens and log-probabilities."""
        guesses = self._guess(rows, cache, drafts)
        logits = self._forward([row.tokens for row in rows], cache, guesses)
        owners = [*range(len(rows)), *(n for n, guess in enumerate(guesses) for _ in guess)]
        requests = [rows[n].request for n in owners]
        starts = [len(row.tokens) - len(row.request.prompt_tokens) for row in rows]
        positions = [*starts, *(starts[n] + k + 1 for n, guess in enumerate(guesses) for k in range(len(guess)))]
        seeds = np.array([request.seed for request in requests], dtype=np.uint64)
        tokens, logprobs = sample_tokens(
            logits,
            torch.tensor([request.temperature for request in requests], device=self._device),
            torch.tensor([request.top_p for request in requests], device=self._device),
            torch.from_numpy(uniforms(seeds, np.array(positions, dtype=np.uint64))).to(self._device),
        )
        pairs = list(zip(tokens.tolist(), logprobs.tolist(), strict=True))
        drawn = [[pair] for pair in pairs[: len(rows)]]
        following = iter(pairs[len(rows) :])
        for own, guess in zip(drawn, guesses, strict=False):
            for guessed, pair in zip(guess, list(itertools.islice(following, len(guess))), strict=True):
                # What follows a guess counts only where the guess is what was drawn.
                if own[-1][0] != guessed:
                    break
                own.append(pair)
        drafts.observe([len(guess) for guess in guesses], [len(own) - 1 for own in drawn[: len(guesses)]])
        return drawn

    def _guess(self, rows: Sequence[_Row], cache: KeyValueCache, drafts: Drafts) -> list[list[int]]:
        """Guesses at what follows each row's next token, as many as are likely to pay."""
        if not self._drafts or not cache.takes_drafts or cache.unread:
            return []
        places = drafts.places([row.left - 1 for row in rows], self._rows)
        return [drafts.guess(row.group, row.tokens, count) for row, count in zip(rows, places, strict=True)]

    @torch.inference_mode()
    def _forward(
        self,
        contexts: Sequence[Sequence[int]],
        cache: KeyValueCache,
        guesses: Sequence[Sequence[int]] = (),
        windows: dict[int, int | None] | None = None,
    ) -> Tensor:
        """Logits after each context's newest token, then after each guess, [n, vocabulary].

        Each layer's window is put into ``windows``.
        """
        self._alive()
        count = len(contexts) + sum(map(len, guesses))
        step = cache.step(contexts, guesses)
        padding = [0] * (-len(step.ids) % self._rows)
        out = self._model(
            input_ids=torch.tensor([step.ids + padding], device=self._device),
            position_ids=torch.tensor([step.positions + padding], device=self._device),
            use_cache=False,
            logits_to_keep=torch.arange(-(-count // self._rows) * self._rows, device=self._device),
            slot_batch=step.batch,
            windows={} if windows is None else windows,
        )
        logits: Tensor = out.logits[0, :count]
        return logits

    def _postprocess(
        self,
        rows: list[_Row],
        cache: KeyValueCache,
        drawn: Sequence[Sequence[tuple[int, float]]],
        waiting: LongestFirst,
        drafts: Drafts,
    ) -> Iterator[Completion]:
        """Append the new tokens; hand out what finished and close the gaps that it leaves."""
        finished: list[Completion] = []
        for slot in range(len(rows) - 1, -1, -1):
            row = rows[slot]
            stop = self._append(row, drawn[slot])
            if stop is None:
                continue
            segment = Segment(tuple(row.new_tokens), tuple(row.new_logprobs), self._version, stop)
            finished.append(Completion(row.request.id, segment))
            last = rows.pop()
            if slot < len(rows):
                # Slots are visited from the last to the first, so the one that moves here was dealt with already.
                rows[slot] = last
            cache.drop(slot)
            if stop.terminal:
                waiting.ended(row.group, len(row.tokens) - len(row.request.prompt_tokens))
            if not waiting.remain(row.group) and all(other.group != row.group for other in rows):
                drafts.forget(row.group)
        yield from reversed(finished)

    def _append(self, row: _Row, drawn: Sequence[tuple[int, float]]) -> Stop | None:
        for token, logprob in drawn:
            row.tokens.append(token)
            row.new_tokens.append(token)
            row.new_logprobs.append(logprob)
            stop = self._stop(row)
            if stop is not None:
                return stop
        return None

    def _stop(self, row: _Row) -> Stop | None:
        repeating = row.detector.push(row.new_tokens[-1])
        if row.new_tokens[-1] in self._end_tokens:
            return Stop.ENDED
        if repeating:
            return Stop.REPEATED
        if len(row.tokens) - len(row.request.prompt_tokens) >= row.request.max_response_tokens:
            return Stop.LIMIT
        return Stop.CUT if len(row.new_tokens) >= row.request.segment_tokens else None

    def _start(self) -> None:
        """Verify; without products of its own where the model reads its weights past them."""
        try:
            self._verify()
        except EngineError:
            if not len(self._products):
                raise
            self._products.undo()
            self._rows = self._products.rows
            self._verify()
        self._products.settle()

    def _verify(self) -> None:
        name = type(self._model).__name__
        try:
            self._compare(name)
        except (EngineError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise refused(name, f"its forward pass failed with {type(error).__name__}: {error}") from error

    @torch.inference_mode()
    def _compare(self, name: str) -> None:
        """Compare the cache with the model's own attention on a few tokens, admitted and then decoded."""
        tokens = torch.arange(12, device=self._device).mul_(7).add_(3).remainder_(self._config.vocab_size)
        self._model.set_attn_implementation("eager")
        expected = self._model(tokens[None], use_cache=False).logits[0, 7:]
        alone = self._model(tokens[7:, None], use_cache=False).logits[:, 0]
        self._model.set_attn_implementation(ATTENTION_NAME)
        cache = self._cache(1, len(tokens))
        cache.admit(tokens[:8].tolist())
        found: list[Tensor] = []
        for length in range(8, len(tokens) + 1):
            windows: dict[int, int | None] = {}
            found.append(self._forward([tokens[:length].tolist()], cache, windows=windows))
            check_layers(self._config, name, windows)
        check_values(name, torch.cat(found), expected, alone)
