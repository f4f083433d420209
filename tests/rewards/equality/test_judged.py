"""Cases written and judged by a reader who had not seen the code: what they are judged to be, they stay."""

import json
from collections import Counter
from pathlib import Path

from perilune.rewards.math import MathReward
from perilune.types import Message, Problem, Stop

CASES = [json.loads(line) for line in Path(__file__).with_name("judged.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_case_is_graded_as_its_reader_judged_it():
    kinds, others = Counter(), []
    for kind, reference, response, right, form in CASES:
        problem = Problem("p", (Message("user", "how much?"),), reference)
        grade = MathReward(form)(problem, response, Stop.ENDED)
        kinds[kind] += 1
        if str(grade.verdict) != right:
            others.append((kind, reference, response, right, grade))
    print(f"{len(CASES)} cases of {len(kinds)} kinds, {len(others)} graded otherwise")  # noqa: T201
    assert not others
