"""One run in progress: what every stage is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perilune.data.demonstrations import WorkedSolutions
from perilune.recipe.recipe import Recipe
from perilune.report.terminal import Display
from perilune.rewards.pool import GradingPool
from perilune.run.folder import RunFolder
from perilune.run.jsonl import restore_lines
from perilune.run.metrics import METRICS_FILE, MetricsLog, event_line
from perilune.run.timing import Clock
from perilune.stages.backends import Backends
from perilune.types import Problem, StepMetrics


@dataclass(frozen=True, slots=True)
class Session:
    """A recipe, its folder, its backends, and where measurements go."""

    recipe: Recipe
    run: RunFolder
    backends: Backends
    grader: GradingPool
    log: MetricsLog
    display: Display
    train: tuple[Problem, ...]
    heldout: tuple[Problem, ...]
    clock: Clock
    """Seconds of this process per phase."""
    sets: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    """What curation keeps out of the prompt set, by name."""
    worked: WorkedSolutions | None = None
    """What the training problems' rows brought for the warm-up."""

    def tell(self, event: str, step: int, values: Mapping[str, Any], name: str = "") -> None:
        """Add an event to the run's metrics, for good."""
        line = event_line(event, step, values)
        self.run.journal.add(METRICS_FILE, event, step, line, name)
        self.log.append(line, event, step, values)

    def tell_answered(
        self, event: str, step: int, values: Mapping[str, Any], name: str = "", *, done: str | None
    ) -> None:
        """Tell what kept answers came to, in place of what was told before, and drop them, all or nothing.

        Args:
            event: its kind.
            step: counts within the kind.
            values: what is told.
            name: of the event, among those of its kind.
            done: the step of the run that is over with it.
        """
        run, line = self.run, event_line(event, step, values)
        with run.buffer.transaction():
            # A run that is made longer, or that went back, comes to the same event again.
            replaced = run.journal.forget(event, name=name)
            run.journal.add(METRICS_FILE, event, step, line, name)
            run.answers.forget()
            if done is not None:
                run.set_state(run.state.with_done(done))
        self.log.append(line, event, step, values)
        if replaced:
            restore_lines(run.path / METRICS_FILE, run.journal.lines(METRICS_FILE))


def warn_of_skipped(session: Session, step: StepMetrics) -> None:
    """Tell people of an optimiser step that was skipped, and where its minibatch is."""
    if step.skipped:
        session.display.warn(
            f"optimiser step {step.number} of {step.steps} skipped: loss {step.loss:.3g}, gradient norm "
            f"{step.gradient_norm:.3g}; the first such minibatches are kept in {session.run.skipped}"
        )
