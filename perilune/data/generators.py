"""The built-in generators: endless problems with worked demonstrations, split so that held-out content never trains.

Which split a problem belongs to is decided by a hash of its content, whatever its wording, seed or difficulty: one
content in five is held out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from random import Random
from typing import Literal

from perilune.data import arithmetic, countdown, programs
from perilune.errors import ProblemsError, RewardError
from perilune.recipe.rewards import ANSWER_FORMS, PATTERN_FORM
from perilune.sandbox.tasks import task_json
from perilune.types import Demonstration, Message, Problem

Split = Literal["train", "heldout"]
GeneratorName = Literal["arithmetic", "countdown", "programs"]
AnswerForm = str
"""One of ``recipe.rewards.ANSWER_FORMS`` but any, or a user's own pattern."""
Style = Literal["long", "brief", "short", "direct"]

_HELDOUT_SHARE = 5
_PATIENCE = 2000
"""So many draws in a row without anything new mean that the space is exhausted."""


def generate(
    name: GeneratorName,
    difficulty: int,
    seed: int,
    split: Split,
    *,
    style: Style = "long",
    answer_form: AnswerForm = "answer_line",
) -> Iterator[Demonstration]:
    """Problems of one kind and difficulty, each with a worked response; equal arguments give equal problems.

    Args:
        name: arithmetic, judged by the reward math; countdown, judged by the reward countdown; programs,
            by the reward code.
        difficulty: from 1; more steps, or more numbers.
        seed: of wording and content.
        split: train and heldout share no content, whatever the seeds.
        style: long plans, checks, slips and corrects; brief works without all that; short gives the equations alone;
            direct the answer alone.
        answer_form: how the response states its answer; a program is always in a fenced block.

    Raises:
        ProblemsError: there is nothing new left.
    """
    rng = Random(f"{name}/{difficulty}/{seed}/{split}")
    seen: set[str] = set()
    misses = 0
    while True:
        canonical, demonstration = _MAKERS[name](difficulty, rng, style, answer_form)
        if canonical in seen or split_of(f"{name}:{canonical}") != split:
            misses += 1
            if misses > _PATIENCE:
                raise ProblemsError(
                    f"the generator {name!r} has no more than {len(seen)} different problems of difficulty "
                    f"{difficulty} for {split}; lower the count or add difficulties"
                )
            continue
        misses = 0
        seen.add(canonical)
        yield demonstration


def split_of(content: str) -> Split:
    """The split of a content, by a stable hash."""
    digest = int.from_bytes(blake2b(content.encode(), digest_size=8).digest(), "big")
    return "heldout" if digest % _HELDOUT_SHARE == 0 else "train"


def _arithmetic(difficulty: int, rng: Random, style: Style, answer_form: AnswerForm) -> tuple[str, Demonstration]:
    content = arithmetic.random_sum(difficulty, rng)
    question = arithmetic.tell(content, rng)
    paths: dict[Style, str] = {
        "long": arithmetic.explain(content, rng),
        "brief": arithmetic.work(content),
        "short": arithmetic.equations(content),
        "direct": "",
    }
    answer = str(content.values[-1])
    tags = ("arithmetic", f"steps-{len(content.steps)}")
    problem = _problem("arithmetic", difficulty, question, answer, "math", tags)
    return content.canonical, Demonstration(problem, f"{paths[style]}\n{stated(answer, answer_form)}".lstrip())


def _countdown(difficulty: int, rng: Random, style: Style, answer_form: AnswerForm) -> tuple[str, Demonstration]:
    puzzle = countdown.random_puzzle(difficulty, rng)
    question = countdown.ask(puzzle, rng)
    paths: dict[Style, str] = {
        "long": countdown.explain(puzzle, rng),
        "brief": countdown.work(puzzle),
        "short": countdown.equations(puzzle),
        "direct": "",
    }
    tags = ("countdown", f"numbers-{len(puzzle.numbers)}")
    problem = _problem("countdown", difficulty, question, puzzle.reference, "countdown", tags)
    return puzzle.canonical, Demonstration(problem, f"{paths[style]}\n{stated(puzzle.solution, answer_form)}".lstrip())


def _programs(difficulty: int, rng: Random, style: Style, answer_form: AnswerForm) -> tuple[str, Demonstration]:
    content = programs.random_content(difficulty, rng)
    form: programs.Form = rng.choices(("program", "function"), weights=(2, 1))[0]
    question = programs.ask(content, form, rng)
    path = f"{programs.explain(content, rng)}\n" if style == "long" else ""
    answer = task_json(programs.task(content, form, rng))
    problem = _problem("programs", difficulty, question, answer, "code", ("programs", content.kind, form))
    return content.canonical, Demonstration(problem, f"{path}```python\n{programs.solution(content, form)}\n```")


_STATED: Mapping[AnswerForm, str] = {
    "answer_line": "Answer: {}",
    "boxed": "\\boxed{{{}}}",
    "hashes": "#### {}",
    "answer_tag": "<answer>{}</answer>",
    "sentence": "The answer is {}.",
}
_MAKERS = {"arithmetic": _arithmetic, "countdown": _countdown, "programs": _programs}


def form_to_write(accepted: str) -> AnswerForm:
    """The form in which to state an answer where a reward accepts this one."""
    return "answer_line" if accepted == "any" else accepted


def stated(answer: str, answer_form: AnswerForm) -> str:
    """The last line of a response.

    Raises:
        RewardError: the form is a user's own pattern that no text can be made from.
    """
    if answer_form.startswith(PATTERN_FORM):
        return _stated_by_pattern(answer, answer_form.removeprefix(PATTERN_FORM).strip())
    return _STATED[answer_form].format(answer)


def _stated_by_pattern(answer: str, pattern: str) -> str:
    """A text in which the pattern finds the answer: its plain characters, with the answer for its group."""
    before, after = re.split(r"(?<!\\)\((?!\?).*?(?<!\\)\)", pattern, maxsplit=1)[:2]
    plain = [re.sub(r"\\([^A-Za-z0-9])", r"\1", re.sub(r"\\s[*+]?", " ", part.strip("^$"))) for part in (before, after)]
    text = f"{plain[0]}{answer}{plain[1]}"
    found = re.search(pattern, text)
    if found is None or (found.group(1) or "").strip() != answer.strip():
        raise RewardError(
            f"no text can be made in which rewards.answer_form = '{PATTERN_FORM} {pattern}' finds {answer!r}; use "
            f"one of {', '.join(ANSWER_FORMS)} where responses are made from answers, or a plainer pattern"
        )
    return text


def _problem(name: str, difficulty: int, question: str, answer: str, reward: str, tags: tuple[str, ...]) -> Problem:
    digest = blake2b(question.encode(), digest_size=6).hexdigest()
    return Problem(
        id=f"{name}-{difficulty}-{digest}",
        messages=(Message("user", question),),
        answer=answer,
        reward=reward,
        tags=tags,
        difficulty=float(difficulty),
    )
