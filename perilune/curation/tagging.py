"""Domain and discipline of a problem: by the model's own log-probabilities, or by keywords (k1.5, section 2.1).

The paper labels prompts with a tagging system that it does not describe. Ours lets the policy itself score every label,
so that any language model can do it: a label's score is its log-probability after the question, less what it has after
no question at all. Without that a small model names its favourite label for everything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from perilune.curation.sample_cache import SampleCache, cache_key
from perilune.curation.taxonomy import Discipline
from perilune.protocols import Trainer
from perilune.types import Demonstration, Message, Problem, Sample

_BATCH = 16
"""Problems scored at once, between two signs of progress."""
_NO_QUESTION = ("", "N/A", "[question]")
"""What stands for no question: a label's log-probability after these is what the model thinks of it anyway."""
_LONGEST = 1200
"""Characters of a question that are read for its topic; its beginning tells it."""

_KEYWORD_NATS = 1.5
_MOST_KEYWORDS = 3

RenderLabel = Callable[[Demonstration], tuple[tuple[int, ...], tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A problem's label and where it comes from."""

    discipline: Discipline
    by: str
    """'model', 'rules' or 'both'."""
    confidence: float
    """Probability of the label among all, for the model; share of the keywords found, for rules."""


def by_rules(question: str, taxonomy: Sequence[Discipline]) -> Tagged | None:
    """The discipline with the most keywords in the question; None where none is found, or two tie."""
    text = question.casefold()
    hits = [sum(_stands_in(word, text) for word in discipline.keywords) for discipline in taxonomy]
    best, total = max(hits), sum(hits)
    if not best or hits.count(best) > 1:
        return None
    return Tagged(taxonomy[hits.index(best)], "rules", best / total)


def keyword_evidence(question: str, taxonomy: Sequence[Discipline]) -> list[float]:
    """What the keywords in a question add to each label's score, in nats: :data:`_KEYWORD_NATS` for each, of a few."""
    text = question.casefold()
    return [
        _KEYWORD_NATS * min(_MOST_KEYWORDS, sum(_stands_in(word, text) for word in discipline.keywords))
        for discipline in taxonomy
    ]


@dataclass(frozen=True, slots=True)
class LabelScorer:
    """Scores the labels of a taxonomy with a model."""

    trainer: Trainer
    """Whose policy scores; nothing is trained."""
    render: RenderLabel
    """(question, label) → prompt tokens and label tokens, the end token included."""
    taxonomy: tuple[Discipline, ...]
    cache: SampleCache
    model: str
    """Names the model, for the cache."""
    keywords: bool = False
    """Add the evidence of keywords to the model's scores."""

    def tag(self, problems: Sequence[Problem], progress: Callable[[int, int], None]) -> dict[str, Tagged]:
        """The label of every problem, by id.

        Args:
            problems: what to label.
            progress: called with (problems done, problems in all).
        """
        prior = self._prior()
        found: dict[str, Tagged] = {}
        for start in range(0, len(problems), _BATCH):
            part = problems[start : start + _BATCH]
            for problem, scores in zip(part, self._scores([p.text for p in part]), strict=True):
                found[problem.id] = self._best(problem.text, scores, prior)
            progress(min(start + _BATCH, len(problems)), len(problems))
        return found

    def _prior(self) -> dict[str, float]:
        """What the labels score after no question: log of their mean probability."""
        scores = self._scores(list(_NO_QUESTION))
        return {d.tag: _log_mean([score[d.tag] for score in scores]) for d in self.taxonomy}

    def _best(self, question: str, scores: Mapping[str, float], prior: Mapping[str, float]) -> Tagged:
        gains = [scores[d.tag] - prior[d.tag] for d in self.taxonomy]
        if self.keywords:
            evidence = keyword_evidence(question, self.taxonomy)
            gains = [gain + added for gain, added in zip(gains, evidence, strict=True)]
        top = max(gains)
        weights = [math.exp(gain - top) for gain in gains]
        return Tagged(self.taxonomy[gains.index(top)], "both" if self.keywords else "model", 1 / sum(weights))

    def _scores(self, questions: Sequence[str]) -> list[Mapping[str, float]]:
        """Log-probability in nats of every label after every question."""
        keys = [cache_key(self.model, "labels", [d.tag for d in self.taxonomy], q[:_LONGEST]) for q in questions]
        known = [self.cache.score(key) for key in keys]
        missing = [index for index, scores in enumerate(known) if scores is None]
        samples = [
            _sample(*self.render(_labelled(questions[index], discipline)), group)
            for group, index in enumerate(missing)
            for discipline in self.taxonomy
        ]
        sums = [sum(values) for values in self.trainer.logprobs(samples)] if samples else []
        for place, index in enumerate(missing):
            part = sums[place * len(self.taxonomy) : (place + 1) * len(self.taxonomy)]
            scores = {d.tag: value for d, value in zip(self.taxonomy, part, strict=True)}
            self.cache.keep_score(keys[index], scores)
            known[index] = scores
        return [scores for scores in known if scores is not None]


def _labelled(question: str, discipline: Discipline) -> Demonstration:
    asked = f"Name the field that this question belongs to.\n\nQuestion: {question[:_LONGEST]}"
    problem = Problem("", (Message("user", asked),), "")
    return Demonstration(problem, f"{discipline.domain}: {discipline.name}")


def _sample(prompt: tuple[int, ...], label: tuple[int, ...], group: int) -> Sample:
    mask = (False,) * len(prompt) + (True,) * len(label)
    return Sample(prompt + label, len(prompt), mask, advantage=0.0, group=group)


def _log_mean(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values) / len(values))


def _stands_in(word: str, text: str) -> bool:
    """Whether a keyword stands in case-folded text: as a whole word, or anywhere where script has no spaces."""
    word = word.casefold()
    if not word.isascii():
        return word in text
    start = r"(?<!\w)" if word[0].isalnum() else ""
    end = r"(?:s|es)?(?!\w)" if word[-1].isalnum() else ""
    return re.search(start + re.escape(word) + end, text) is not None
