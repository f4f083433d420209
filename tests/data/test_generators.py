import subprocess
import sys
from itertools import islice

import pytest

from perilune.data import arithmetic, countdown
from perilune.data.generators import generate, split_of
from perilune.errors import ProblemsError
from perilune.rewards.answers import last_answer
from perilune.rewards.countdown import CountdownReward, read_reference
from perilune.rewards.math import MathReward
from perilune.types import Stop, Verdict

KINDS = ["arithmetic", "countdown"]
REWARDS = {"math": MathReward(), "countdown": CountdownReward()}


@pytest.mark.parametrize("form", ["answer_line", "boxed"])
@pytest.mark.parametrize("style", ["long", "brief", "short", "direct"])
@pytest.mark.parametrize("difficulty", [1, 2, 3, 4])
@pytest.mark.parametrize("name", KINDS)
def test_every_response_is_right_by_its_own_reward(name, difficulty, style, form):
    for shown in islice(generate(name, difficulty, 7, "train", style=style, answer_form=form), 40):
        assert last_answer(shown.response, form) is not None
        grade = REWARDS[shown.problem.reward](shown.problem, shown.response, Stop.ENDED)
        assert grade.verdict is Verdict.RIGHT, (shown.response, grade)


def test_records_say_what_they_are():
    shown = next(generate("arithmetic", 3, 0, "train"))
    assert (shown.problem.reward, shown.problem.tags) == ("math", ("arithmetic", "steps-2"))
    assert shown.problem.difficulty == 3.0
    assert shown.problem.id.startswith("arithmetic-3-")
    shown = next(generate("countdown", 3, 0, "train"))
    assert (shown.problem.reward, shown.problem.tags) == ("countdown", ("countdown", "numbers-4"))


def contents(name, split, difficulty, seed, count):
    """Canonical contents, read back from what is shown rather than from the generator's own record."""
    found = set()
    for shown in islice(generate(name, difficulty, seed, split, style="short"), count):
        if name == "countdown":
            numbers, target = read_reference(shown.problem.answer)
            found.add(f"{sorted(numbers)}->{target}")
        else:
            steps = [line.split() for line in shown.response.splitlines()[:-1]]
            found.add(steps[0][0] + "".join(step[1] + step[2] for step in steps))
    return found


@pytest.mark.parametrize("name", KINDS)
def test_train_and_heldout_never_share_a_content(name):
    train = set().union(*(contents(name, "train", d, s, 400) for d in (1, 2, 4, 5) for s in (0, 1)))
    heldout = set().union(*(contents(name, "heldout", d, s, 90) for d in (1, 2, 4, 5) for s in (0, 9)))
    assert len(train) > 1500
    assert len(heldout) > 300
    assert not train & heldout
    assert {split_of(f"{name}:{content}") for content in train} == {"train"}


def test_the_split_of_a_content_does_not_depend_on_how_it_was_drawn():
    # A frozen value: a change of the hash would move problems between the splits of published runs.
    shares = [split_of(f"arithmetic:{start}+{number}") for start in range(100) for number in range(100)]
    assert 0.18 < shares.count("heldout") / len(shares) < 0.22
    assert [split_of(f"x{n}") for n in range(12)] == ["heldout", "train", "heldout"] + ["train"] * 9


def test_one_iterator_does_not_repeat_a_content():
    shown = list(islice(generate("arithmetic", 3, 0, "train", style="short"), 2000))
    assert len({d.response for d in shown}) == 2000
    assert len({d.problem.id for d in shown}) == 2000


def test_an_exhausted_space_is_an_error_that_says_so():
    stream = generate("countdown", 1, 0, "heldout")
    with pytest.raises(ProblemsError, match=r"no more than .* different problems of difficulty 1 for heldout"):
        for _ in islice(stream, 100_000):
            pass


def test_equal_arguments_give_equal_problems_in_another_process():
    code = (
        "from itertools import islice; from perilune.data.generators import generate\n"
        "for n in ('arithmetic', 'countdown'):\n"
        "    for d in islice(generate(n, 3, 5, 'heldout'), 20): print(repr(d))"
    )
    environment = {"PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    here = [repr(d) for n in KINDS for d in islice(generate(n, 3, 5, "heldout"), 20)]
    assert done.stdout.splitlines() == here


def test_seeds_and_splits_differ():
    first = [d.problem.id for d in islice(generate("countdown", 3, 0, "train"), 20)]
    assert first != [d.problem.id for d in islice(generate("countdown", 3, 1, "train"), 20)]


def test_short_is_the_equations_alone():
    content = arithmetic.Sum(34, (("+", 27), ("-", 15)))
    assert arithmetic.equations(content) == "34 + 27 = 61\n61 - 15 = 46"
    puzzle = countdown.Puzzle((9, 3), 6, (countdown.Move(9, "-", 3, 6),), "9 - 3")
    assert countdown.equations(puzzle) == "9 - 3 = 6"


@pytest.mark.parametrize("name", ["arithmetic", "countdown"])
def test_each_style_says_less_than_the_one_before(name):
    lengths = [
        sum(len(shown.response) for shown in islice(generate(name, 2, 3, "train", style=style), 50))
        for style in ("long", "brief", "short", "direct")
    ]
    assert lengths == sorted(lengths, reverse=True)
    brief = [shown.response for shown in islice(generate(name, 2, 3, "train", style="brief"), 50)]
    assert not any(word in response for response in brief for word in ("Plan", "Check", "Try", "Wait"))
