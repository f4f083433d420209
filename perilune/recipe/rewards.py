"""The recipe's table [rewards]: how answers are graded."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from perilune.recipe.section import PositiveFloat, PositiveInt, Section, Share

ANSWER_FORMS = ("any", "boxed", "answer_line", "hashes", "answer_tag", "sentence")
PATTERN_FORM = "pattern:"
"""What a user's own form begins with; a regular expression follows, whose first group is the answer."""


def _known_form(form: str) -> str:
    if form in ANSWER_FORMS:
        return form
    if not form.startswith(PATTERN_FORM):
        near = difflib.get_close_matches(form, ANSWER_FORMS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(ANSWER_FORMS)}"
        raise ValueError(f"no form {form!r}; {hint}. A form of your own is written as 'pattern: REGULAR EXPRESSION'")
    try:
        pattern = re.compile(form.removeprefix(PATTERN_FORM).strip())
    except re.error as error:
        raise ValueError(f"{form!r} holds no regular expression: {error}") from None
    if not pattern.groups:
        raise ValueError(f"{form!r} has no group; put the answer in one, such as 'pattern: Result: (.+)'")
    return form


AnswerForm = Annotated[str, AfterValidator(_known_form)]


class CodeRewardConfig(Section):
    """[rewards.code]: how programs are judged, for the reward code."""

    service: str | None = None
    """URL of a sandbox service to judge by; by default each grading process has a sandbox of its own."""
    isolation: Literal["auto", "namespaces", "landlock"] = "auto"
    """How programs are isolated where the sandbox is our own; auto takes the strongest that works here."""
    cpu_seconds: PositiveFloat = 4.0
    """CPU time of each test case, or of all calls of a function; a problem's own limit may lower it."""
    wall_seconds: PositiveFloat = 12.0
    """Wall time of the same; generous, for a busy machine makes a right program wait for its turn."""
    memory_mb: PositiveInt = 512
    """Memory of the same, in MiB; a problem's own limit may lower it."""
    total_seconds: PositiveFloat = 20.0
    """Wall time of all test cases together; beyond it the verdict is time limit."""
    output_kb: PositiveInt = 1024
    """What a program may print on each of stdout and stderr, in KiB; beyond it the verdict is output limit."""
    cpp_standard: Annotated[str, Field(pattern=r"^(c|gnu)\+\+[0-9][0-9a-z]$")] = "gnu++20"
    """The standard of C++, as after g++'s -std=; of a service, that which it was started with."""
    packages: tuple[str, ...] = ("numpy", "sortedcontainers")
    """Packages that programs in Python may import besides Python's library, by the names that pip knows; nothing else
    of the environment that they lie in can be read. These two are offered where they are installed; one that is named
    and cannot be imported is refused before a run. Of a service, those that it was started with."""
    environment: str | None = None
    """Where those packages lie: a virtual environment of the same Python, or a folder that pip install --target filled;
    by default the environment that Perilune runs in."""
    stop_at_first: bool = True
    """Leave the cases after the first failure out; a response is right only if it passes all."""

    @property
    def longest_seconds(self) -> float:
        """A bound for one judgement: all runs, of the program and of a special judge, and their compilations."""
        return 2 * (self.total_seconds + self.wall_seconds + 40.0)


class RewardsConfig(Section):
    """[rewards]: how answers are graded."""

    answer_form: AnswerForm = "any"
    """Where a response must put its answer: boxed (\\boxed{…}), answer_line ('Answer: …'), hashes ('#### 72'),
    answer_tag (<answer>…</answer>), sentence ('The answer is 72.'), any of these, or 'pattern: REGULAR EXPRESSION',
    whose first group is the answer. docs/rewards.md says which counts where several stand."""
    thinking_counts: bool = False
    """Whether an answer may stand inside the thinking (<think>…</think>); by default nothing in there counts."""
    format_weight: Share = 0.0
    """Share of the score that a right form alone earns; the rest is for being right."""
    workers: PositiveInt = 1
    """Grading processes."""
    cpu_seconds: PositiveFloat = 5.0
    """Processor time of one grading; beyond it the response is wrong, for it is what it says that takes so long.
    Waiting costs nothing, and programs that the reward code runs have limits of their own."""
    memory_mb: PositiveInt = 1024
    """Memory of one grading, in MiB beside what its worker holds already; beyond it the response is wrong."""
    timeout_seconds: PositiveFloat = 60.0
    """Wall time of one grading, generous, for a busy machine makes it wait; beyond it, which says nothing of the
    response, the worker is ended and the grade is an error."""
    retries: Annotated[int, Field(ge=0)] = 1
    """How often a grading that ended in an error is tried again."""
    unreadable_references: Literal["leave_out", "refuse"] = "leave_out"
    """What becomes of problems whose reference answer their reward cannot read, so that no response to them could be
    judged: leave_out tells them by name and goes on without them, refuse ends the run before it begins."""
    files: Mapping[str, str] = {}
    """Where the files of rewards of your own lie, by their names in problems.*.reward. It is filled in by itself: with
    what is found beside the recipe or in the working directory, and in a run with the copies that the run keeps."""
    code: CodeRewardConfig = CodeRewardConfig()
    """The reward code."""
