"""What the service counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from perilune.sandbox.guard import Slots
from perilune.sandbox.programs import Submission
from perilune.sandbox.verdicts import Judgement

_PATHS = frozenset({"/v1/run", "/v1/judge", "/v1/batch", "/health", "/metrics"})
_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class ServiceMetrics:
    """One service's own; nothing is shared with other parts of the process."""

    CONTENT_TYPE = CONTENT_TYPE_LATEST

    def __init__(self, slots: Slots) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "perilune_sandbox_answers", "Requests answered.", ["path", "status"], registry=self._registry
        )
        self._judgements = Counter(
            "perilune_sandbox_judgements", "Programs judged.", ["outcome"], registry=self._registry
        )
        self._runs = Counter("perilune_sandbox_runs", "Runs of /v1/run.", ["ending"], registry=self._registry)
        self._seconds = Histogram(
            "perilune_sandbox_judgement_seconds",
            "From the request to the judgement, the wait for a worker included.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        inside = Gauge("perilune_sandbox_inside", "Judgements running or waiting.", registry=self._registry)
        inside.set_function(lambda: slots.taken)
        capacity = Gauge("perilune_sandbox_capacity", "Most judgements inside.", registry=self._registry)
        capacity.set(slots.capacity)

    def count_answer(self, path: str, status: int) -> None:
        """One request was answered; unknown paths are counted as one."""
        self._answers.labels(path if path in _PATHS else "other", str(status)).inc()

    def count_judgement(self, judgement: Judgement) -> None:
        """One program was judged."""
        self._judgements.labels(judgement.outcome.value).inc()

    def count_runs(self, submission: Submission) -> None:
        """A program was run on its inputs."""
        for run in submission.runs:
            self._runs.labels(run.ending.value).inc()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time a judgement."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.observe(time.perf_counter() - start)

    def page(self) -> bytes:
        """All figures in Prometheus's text form."""
        return generate_latest(self._registry)
