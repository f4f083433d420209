"""What a rewriting keeps stays right, and what it changes is wrong: of every kind of reference, through the reward."""

import json
import re
from pathlib import Path
from random import Random

import pytest
from stated import some, stated
from stated_formulas import FORMULAS
from stated_measures import MEASURES
from stated_numbers import NUMBERS
from stated_ranges import RANGES
from stated_several import SEVERAL

from perilune.rewards.math import MathReward
from perilune.types import Message, Problem, Stop, Verdict

KINDS = {**NUMBERS, **MEASURES, **RANGES, **SEVERAL, **FORMULAS}
KNOWN = [json.loads(line) for line in Path(__file__).with_name("known.jsonl").read_text("utf-8").splitlines()]
"""References as the usual data sets have them, each with what a reader takes for it and what not."""
GENERATED = 6
"""References of each kind."""


def _brackets(text):
    """Brackets that grow; not those that belong to a command, to a word or to a row of a matrix."""
    if re.search(r"mod|sqrt\[|\\\\|left|text|[A-Za-z]{3,}\(", text):
        return text
    for sign in "([":
        text = text.replace(sign, rf"\left{sign}")
    for sign in ")]":
        text = text.replace(sign, rf"\right{sign}")
    return text


def _is_plain(text):
    """Whether no word or command stands in it whose signs mean something else."""
    return not re.search(
        r"\\(?:text|math|begin)|\d[eE][+-]?\d|[A-Za-z]{3,}", re.sub(r"\\[a-z]+(?![a-z])", "", text)
    ) and (not re.search(r"\\(?:text|math|begin)|\d[eE][+-]?\d|\.$", text))


def _spaced(text):
    return re.sub(r"(?<=[\w})\]])([+=<>])(?=[\w\\({])", r" \1 ", text) if _is_plain(text) else text


def _long_minus(text):
    return text.replace("-", "−") if _is_plain(text) else text


def _signs(text):
    pairs = {r"\le ": "≤", r"\ge ": "≥", r"\ne ": "≠", r"\infty": "∞", r"\cup": "∪", r"\pi": "π", r"\times": "×"}
    for command, sign in pairs.items():
        text = re.sub(re.escape(command.strip()) + r"(?![A-Za-z])", sign, text)
    return text


def _longer_commands(text):
    for short, long in ((r"\le", r"\leq"), (r"\ge", r"\geqslant"), (r"\ne", r"\neq"), (r"\frac", r"\dfrac")):
        text = re.sub(re.escape(short) + r"(?![A-Za-z])", lambda _, long=long: long, text)
    return text


# In the order in which they can be laid over one another.
SURFACES = {
    "as it is": lambda text: text,
    "growing brackets": _brackets,
    "spaces around signs": _spaced,
    "long minus": _long_minus,
    "signs for commands": _signs,
    "longer commands": _longer_commands,
    "display style": lambda text: rf"\displaystyle {text}",
    "spaces at the ends": lambda text: rf"\,{text}\ ",
    "dollars": lambda text: f"${text}$" if "$" not in text.replace(r"\$", "") else text,
    "full stop": lambda text: text if text.endswith(".") else f"{text}.",
}
DOORS = {
    "box": r"Thus \boxed{@}.",
    "box in dollars": r"Thus $\boxed{@}$.",
    "displayed box": "**Final Answer**\n\n\\[\n\\boxed{@}\n\\]",
    "frame": r"so \fbox{@}",
    "answer line": "We add.\nAnswer: @",
    "bold answer line": "We add.\n\n**Answer:** @\n",
    "bold value": "We add.\nAnswer: **@**",
    "next line": "### Answer\n@",
    "Chinese": "所以\n答案：@",
    "hashes": "We add.\n#### @",
    "tag": "<answer>@</answer>",
    "Minerva": "Final Answer: The final answer is $@$. I hope it is correct.",
    "after thinking": "<think>Perhaps \\boxed{-123457}? No.</think>\n\\boxed{@}",
    "after another box": r"At first \boxed{-123457}, but \boxed{@}",
    "after a sentence": "The answer is -123457 at first sight.\n\n\\boxed{@}",
}
REFERENCES = ("@", "@", "$@$", r"\boxed{@}", r"We find $-123457$ first, and then $\boxed{@}$ in all.")
NOWHERE = (
    "<think>so \\boxed{@}",
    "<think>so \\boxed{@}</think>\nI cannot tell.",
    "\\boxed{@}\n\nNo, it is \\boxed{-123457}",
    "Answer: not @",
    "Answer: @ or -123457",
    "@",
)
"""Where the right answer stands and is not the response's answer."""


def _verdict(reference, response):
    problem = Problem("p", (Message("user", "how much?"),), reference)
    return MathReward()(problem, response, Stop.ENDED).verdict


def _into(form, text):
    plain = re.sub(r"(?<!\\)\$", "", text) if "$@$" in form else text
    return form.replace("@", plain)


def _rewritten(random, text):
    """The text through two surfaces and a door."""
    one, two = some(random, SURFACES, 2)
    door = random.choice(sorted(DOORS))
    written = SURFACES[two](SURFACES[one](text))
    if door == "hashes" or "\n" in text:
        door = "box"
    return _into(DOORS[door], written), f"{one}, {two}, {door}"


def _graded(random, reference, texts, wanted):
    """How many gradings, and those that came out otherwise."""
    failed = []
    for text in texts:
        for response, way in ((_into(DOORS["box"], text), "box"), _rewritten(random, text)):
            given = reference if "\n" in reference else _into(random.choice(REFERENCES), reference)
            if (verdict := _verdict(given, response)) is not wanted:
                failed.append(f"{verdict} for {given!r}: {response!r} ({way})")
    return 2 * len(texts), failed


def _tell(kind, references, counts, failed):
    (right, wrong), (lost, won) = counts, failed
    print(  # noqa: T201
        f"\n{kind}: {references} references, {right} kept {100 - 100 * len(lost) / right:.1f} % right, "
        f"{wrong} changed {100 - 100 * len(won) / wrong:.1f} % wrong",
        *lost,
        *won,
        sep="\n  ",
    )


@pytest.mark.parametrize("kind", sorted({*KINDS, *(row["kind"] for row in KNOWN)}))
def test_what_is_kept_is_right_and_what_is_changed_is_wrong(kind):
    random = Random(kind)
    cases = [stated(row["reference"], row["same"], row["other"]) for row in KNOWN if row["kind"] == kind]
    cases = cases or [KINDS[kind](random) for _ in range(GENERATED)]
    counts, failed = [0, 0], ([], [])
    for case in cases:
        for side, (texts, wanted) in enumerate(((case.same, Verdict.RIGHT), (case.other, Verdict.WRONG))):
            count, unlike = _graded(random, case.reference, texts, wanted)
            counts[side] += count
            failed[side].extend(unlike)
    _tell(kind, len(cases), counts, failed)
    assert not failed[0], "\n".join(failed[0])
    assert not failed[1], "\n".join(failed[1])


@pytest.mark.parametrize("form", NOWHERE)
def test_the_right_value_where_no_answer_stands_is_wrong(form):
    random = Random(form)
    for kind in sorted(KINDS):
        case = KINDS[kind](random)
        response = _into(form, random.choice(case.same))
        assert _verdict(case.reference, response) is Verdict.WRONG, (case.reference, response)
