"""The rollout engine on vLLM: segments out of steps, and a new process in place of one that died.

What a process has sent is kept: after its death the next one gets the same weights, and each response in flight goes on
behind its last token that arrived, so no token is lost and each segment is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from perilune.backends.engines.requests import check_request
from perilune.backends.engines.vllm.host import EngineDied, Progress, VllmHost
from perilune.backends.weights.transfer import WeightTransfer, send_weights
from perilune.errors import EngineError
from perilune.types import Completion, Request, Segment, Stop


@dataclass(slots=True)
class _Row:
    """One response in flight."""

    request: Request
    tokens: list[int] = field(default_factory=list)
    """Of this segment."""
    logprobs: list[float] = field(default_factory=list)

    def rest(self) -> Request:
        """What is still to be generated of the segment."""
        return replace(
            self.request,
            response_tokens=(*self.request.response_tokens, *self.tokens),
            segment_tokens=self.request.segment_tokens - len(self.tokens),
        )


class VllmEngine:
    """Implements :class:`perilune.protocols.Engine` on vLLM."""

    def __init__(
        self,
        host: VllmHost,
        transfer: WeightTransfer,
        *,
        context: int | None = None,
        deaths: int = 3,
        on_death: Callable[[str], None] = lambda why: None,
    ):
        """Start nothing yet.

        Args:
            host: vLLM.
            transfer: how weights reach it.
            context: longest prompt and response together, if there is a limit.
            deaths: how often it may die without a token in between.
            on_death: told why a process died that another takes the place of.
        """
        self._host = host
        self._transfer = transfer
        self._context = context
        self._deaths = deaths
        self._on_death = on_death
        self._version = -1

    @property
    def version(self) -> int:
        """The policy version of the weights that it serves; -1 before the first."""
        return self._version

    @property
    def running(self) -> bool:
        """Whether vLLM is started."""
        return self._host.running

    def start(self) -> None:
        """Start vLLM with dummy weights, or wake it up; nothing if it is at work.

        Raises:
            EngineError: it does not start, or dies each time.
        """
        self._again(self._start)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Take new weights under their Hugging Face names; the cache of the old ones is forgotten."""
        self._version = -1
        self._transfer.register(weights, version)
        self._again(lambda: self._start_with(version))
        self._version = version

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion per request as each finishes.

        Raises:
            EngineError: a request cannot be served, the engine has no weights, or it dies again and again.
        """
        for request in requests:
            check_request(request, self._context)
        if requests and self._version < 0:
            raise EngineError("the engine has no weights; load_weights comes first")
        rows = {request.id: _Row(request) for request in requests}
        deaths = 0
        while rows:
            try:
                if not self._host.running:
                    self._host.start()
                    self._send(self._version)
                for step in self._host.generate([row.rest() for row in rows.values()]):
                    deaths = 0
                    yield from self._completed(step, rows)
            except EngineDied as error:
                deaths += 1
                if deaths >= self._deaths:
                    raise EngineError(
                        f"the engine died {deaths} times in a row without a token. The last time: {error}"
                    ) from error
                self._on_death(str(error))

    def sleep(self) -> None:
        """Give up weights and cache, and stay; or end, if it cannot."""
        self._version = -1
        try:
            self._transfer.release()
            self._host.sleep()
        except EngineError as error:
            self._on_death(str(error))
            self._host.end()

    def end(self) -> None:
        """Give up everything."""
        self._version = -1
        try:
            self._transfer.release()
        finally:
            self._host.end()

    def _again(self, action: Callable[[], None]) -> None:
        """Do it, again where the process dies of it, but not endlessly."""
        for _ in range(self._deaths - 1):
            try:
                return action()
            except EngineDied as error:
                self._on_death(str(error))
        return action()

    def _start(self) -> None:
        if not self._host.running:
            # Also where it died while nobody looked: another has dummy weights.
            self._version = -1
        self._host.start()

    def _start_with(self, version: int) -> None:
        self.start()
        self._send(version)

    def _send(self, version: int) -> None:
        """What is registered, all of it or nothing: no engine is left with a part of it."""
        try:
            send_weights(self._transfer, self._host, version)
        except BaseException:
            # Some layers may have taken new weights and some not; nothing mends that but another start.
            self._host.end()
            raise

    def _completed(self, step: Sequence[Progress], rows: dict[str, _Row]) -> Iterator[Completion]:
        finished: list[tuple[_Row, Stop]] = []
        # First everything that has arrived: the consumer may stop after any completion.
        for progress in step:
            row = rows[progress.request_id]
            row.tokens += progress.tokens
            row.logprobs += progress.logprobs
            if progress.stop is not None:
                finished.append((row, progress.stop))
                del rows[progress.request_id]
        for row, stop in finished:
            yield Completion(row.request.id, Segment(tuple(row.tokens), tuple(row.logprobs), self._version, stop))
