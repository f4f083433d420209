"""Prompts that make a model plan, check, reflect and explore: an instruction, worked examples, then the problem.

The examples are chat turns of their own, so that the model answers in the form that it has seen itself answer in. What
a demonstration is paired with afterwards is the plain problem, without any of it (k1.5, section 2.2: "prompt
engineering", as rejection sampling does it).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from perilune.curation.behaviours import Behaviour
from perilune.data.generators import AnswerForm, stated
from perilune.data.records import read_records
from perilune.errors import ProblemsError
from perilune.recipe.curation import WarmupVariant
from perilune.recipe.problems import SourceConfig
from perilune.types import Message, Problem

BUILTIN_EXAMPLES = Path(__file__).with_name("examples.jsonl")
"""Worked math word problems, written for this purpose."""

INSTRUCTIONS: Mapping[WarmupVariant, str] = {
    "plan": "Before you calculate, write a plan of the steps.",
    "check": "Solve it, then check the result by going backwards.",
    "reflect": "Look at each step again. If a step is wrong, write 'Wait' and correct it.",
    "explore": "Solve it, then solve it in another way and compare.",
    "full": "Plan first, correct slips, check the result and try another way.",
}
"""What each variant asks for, in addition to what the recipe's own prompt says."""

SHOWN: Mapping[WarmupVariant, frozenset[Behaviour]] = {
    "plan": frozenset({Behaviour.PLANNING}),
    "check": frozenset({Behaviour.EVALUATION}),
    "reflect": frozenset({Behaviour.REFLECTION}),
    "explore": frozenset({Behaviour.EXPLORATION}),
    "full": frozenset(Behaviour),
}
"""The behaviours that each variant is meant to bring out."""


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A question with a response that shows a variant's behaviours."""

    variant: WarmupVariant
    question: str
    response: str
    """The path, without the line that states the answer: that is put in the form which the reward expects."""
    answer: str


def load_examples(path: Path | None = None) -> tuple[WorkedExample, ...]:
    """The worked examples of a JSONL file with the fields variant, question, response and answer.

    Args:
        path: the user's own file; by default the built-in examples.

    Raises:
        ProblemsError: naming file, line and reason.
    """
    source = SourceConfig(kind="jsonl", path=str(path or BUILTIN_EXAMPLES))
    return tuple(_example(row, where) for where, row in read_records(source))


def _example(row: Mapping[str, Any], where: str) -> WorkedExample:
    for name in ("variant", "question", "response", "answer"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ProblemsError(f"{where}: a worked example needs a text in the field {name!r} (warmup.examples)")
    variants: dict[str, WarmupVariant] = {name: name for name in get_args(WarmupVariant)}
    if row["variant"] not in variants:
        raise ProblemsError(f"{where}: variant = {row['variant']!r} is none of {', '.join(variants)}")
    return WorkedExample(variants[row["variant"]], row["question"], row["response"], row["answer"])


class WarmupPrompts:
    """Makes the prompts of each variant.

    Args:
        examples: of all variants that will be asked for.
        variants: those that will be asked for.
        shots: worked examples in a prompt: those whose questions are nearest to the problem's, the nearest last.
        answer_form: where a response states its answer.

    Raises:
        ProblemsError: there are fewer examples of a variant than shots.
    """

    def __init__(
        self,
        examples: Sequence[WorkedExample],
        variants: Sequence[WarmupVariant],
        shots: int,
        answer_form: AnswerForm,
    ) -> None:
        self._examples: dict[WarmupVariant, list[WorkedExample]] = {variant: [] for variant in variants}
        for example in examples:
            if example.variant in self._examples:
                self._examples[example.variant].append(example)
        for variant, found in self._examples.items():
            if len(found) < shots:
                raise ProblemsError(
                    f"warmup.shots = {shots}, but there are {len(found)} worked examples of the variant {variant!r}; "
                    "lower it, or add some in warmup.examples"
                )
        self._shots, self._answer_form = shots, answer_form

    def examples(self, problem: Problem, variant: WarmupVariant) -> tuple[WorkedExample, ...]:
        """The examples that go before this problem; the same whatever other problems there are."""
        found = self._examples[variant]
        words = [_words(example.question) for example in found]
        own = _words(problem.messages[-1].content)
        spread = Counter(word for each in words for word in each)
        # A word that few examples have says more of what a question is like.
        nearness = [sum(math.log(1 + len(found) / spread[word]) for word in each & own) for each in words]
        order = sorted(range(len(found)), key=lambda place: nearness[place])
        return tuple(found[place] for place in order[len(order) - self._shots :])

    def ask(self, problem: Problem, variant: WarmupVariant) -> Problem:
        """The problem as it is put to the model in this variant; its system messages stay in front."""
        system = tuple(message for message in problem.messages if message.role == "system")
        asked = tuple(message for message in problem.messages if message.role != "system")
        shown = [turn for example in self.examples(problem, variant) for turn in self._turns(example)]
        first, *rest = [*shown, *asked]
        first = replace(first, content=f"{INSTRUCTIONS[variant]}\n\n{first.content}")
        return replace(problem, messages=(*system, first, *rest))

    def _turns(self, example: WorkedExample) -> tuple[Message, Message]:
        response = f"{example.response}\n{stated(example.answer, self._answer_form)}"
        return Message("user", example.question), Message("assistant", response)


def _words(text: str) -> frozenset[str]:
    """Its words, without numbers; each Chinese character for itself."""
    return frozenset(word.lower() for word in re.findall(r"[\u4e00-\u9fff]|[^\W\d_\u4e00-\u9fff]+", text))
