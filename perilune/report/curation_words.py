"""What curation's steps, reasons and bands of difficulty are called, and what each means in a sentence."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """A name for people, and what it means."""

    name: str
    meaning: str


STEPS = {
    "forms": Term(
        "Forms of question",
        "Questions whose answer can be hit by luck, or that no reference answer can judge, are taken out by rule.",
    ),
    "verify": Term(
        "Reference answers",
        "Each reference answer is given to the problem's own reward as if the model had written it, and so is a wrong "
        "answer: where the first is not found right, or the second not wrong, no response can be judged.",
    ),
    "duplicates": Term(
        "Near-duplicates",
        "Of questions that say the same in nearly the same words, one stays, so that none counts twice in training.",
    ),
    "contamination": Term(
        "Contamination",
        "What stands in an evaluation set goes: a score on problems that the model was trained on would say nothing.",
    ),
    "tags": Term(
        "Domain and discipline",
        "Every problem is labelled with its domain and discipline, so that a set can be seen, and made, broad.",
    ),
    "guess": Term(
        "Guesses",
        "The model names an answer at once, without reasoning, several times. A problem that it hits rewards luck "
        "instead of thought.",
    ),
    "difficulty": Term(
        "Difficulty",
        "The model answers every problem several times; the share of right answers, its pass rate, is how easy the "
        "problem is for this model. What it nearly always solves teaches it nothing.",
    ),
    "balance": Term(
        "Balance",
        "Disciplines with very many problems give some up, so that none of them drowns the others.",
    ),
}
"""By the names of ``curation.steps``."""

REASONS = {
    "multiple_choice": Term("multiple choice", "The answer is one of a few that the question lists."),
    "true_false": Term("true or false", "The answer is yes or no, true or false, right or wrong."),
    "proof": Term("proof", "A proof or derivation is asked for, which no reference answer can judge."),
    "no_answer": Term("no answer", "There is no reference answer."),
    "too_long": Term("too long", "The prompt does not fit."),
    "unverifiable": Term("fails its own reward", "The reward does not accept the reference answer."),
    "duplicate": Term("duplicate", "Another problem, which stays, says the same."),
    "contaminated": Term("contaminated", "It stands in an evaluation set."),
    "guessable": Term("guessable", "The model guessed the answer without reasoning."),
    "trivial": Term("trivial", "The model is right always, or nearly so."),
    "hopeless": Term("hopeless", "The model was never right."),
    "ungradable": Term("not gradable", "The reward ended in errors, so there is no pass rate."),
    "over_quota": Term("over the quota", "Its discipline has problems enough without it."),
}
"""By the words in ``dropped.jsonl``."""

BAND_MEANINGS = {
    "trivial": "so easy that it is dropped",
    "easy": "mostly solved",
    "medium": "sometimes solved",
    "hard": "seldom solved",
    "hopeless": "never solved",
}

SETTINGS = {
    "forms": (),
    "verify": (),
    "duplicates": ("duplicates.",),
    "contamination": ("contamination.",),
    "tags": ("tags.method", "tags.taxonomy"),
    "guess": ("guess.",),
    "difficulty": ("difficulty.",),
    "balance": ("tags.balance", "tags.quota", "tags.temperature", "tags.size"),
}
"""Which settings below ``[curation]`` a step obeys: names, or beginnings of names that end in a dot."""


def step_term(name: str) -> Term:
    """The words for a step; of one that is not known, its name."""
    return STEPS.get(name, Term(name, ""))


def reason_term(name: str) -> Term:
    """The words for a reason; of one that is not known, its name."""
    return REASONS.get(name, Term(name.replace("_", " "), ""))
