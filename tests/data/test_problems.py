import importlib.util
import json
import re
import tracemalloc
from collections import Counter

import pyarrow
import pyarrow.parquet
import pytest

from perilune.data.demonstrations import WorkedSolutions, generator_demonstrations, load_demonstrations, load_solutions
from perilune.data.mapping import dressed
from perilune.data.preferences import messages_record
from perilune.data.problems import load_pile, load_problems
from perilune.data.records import read_records
from perilune.errors import BackendUnavailable, ProblemsError
from perilune.recipe.problems import FieldMapping, GeneratorConfig, SourceConfig
from perilune.stages.curation_files import write_problems
from perilune.types import Message

ROWS = (
    {"question": "One?", "answer": "so\n#### 1,000", "level": 1, "meta": {"topic": "x"}},
    {"question": "Two?", "answer": "so\n####  2 ", "level": 2, "meta": {"topic": "y"}},
    {"question": "Three?", "answer": "so\n#### 3", "level": 3, "meta": {"topic": "z"}},
)
PATTERN = r"####\s*(.+)"


def write(tmp_path, rows=ROWS):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def source(tmp_path, rows=ROWS, fields=None, **options):
    mapping = FieldMapping(**{"answer_pattern": PATTERN, **(fields or {})})
    return SourceConfig(kind="jsonl", path=str(write(tmp_path, rows)), fields=mapping, **options)


def mixture(*generators, **options):
    return SourceConfig(kind="generator", generators=generators, **options)


def test_fields_are_mapped(tmp_path):
    fields = {"tags": "meta.topic", "difficulty": "level"}
    problems = load_problems(source(tmp_path, fields=fields, tags=("set",)), "train")
    assert [p.answer for p in problems] == ["1,000", "2", "3"]
    assert [p.tags for p in problems] == [("set", "x"), ("set", "y"), ("set", "z")]
    assert [p.difficulty for p in problems] == [1.0, 2.0, 3.0]
    assert problems[0].messages == (Message("user", "One?"),)
    assert len({p.id for p in problems}) == 3


def test_the_template_keeps_other_braces(tmp_path):
    problem = load_problems(source(tmp_path, prompt="{question} Use \\boxed{}."), "train")[0]
    assert problem.messages[-1].content == "One? Use \\boxed{}."


def test_a_template_without_a_question(tmp_path):
    with pytest.raises(ProblemsError, match=r"has no \{question\}"):
        load_problems(source(tmp_path, prompt="Answer this."), "train")


def test_chat_messages_stay_messages(tmp_path):
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
    rows = ({"question": turns, "answer": "#### 1"},)
    problem = load_problems(source(tmp_path, rows, prompt="{question}!"), "train")[0]
    assert problem.messages == (Message("system", "S"), Message("user", "Q!"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"question": "qestion"}, r"line 1: no field 'qestion'; did you mean 'question'\?"),
        ({"tags": "meta.topc"}, r"line 1: no field 'meta.topc'; did you mean 'topic'\?"),
        ({"id": "zzz"}, r"line 1: no field 'zzz'; there are: question, answer, level, meta\. Set the name"),
        ({"answer_pattern": r"=> (\d+)"}, r"rows\.jsonl, line 1: answer_pattern"),
        ({"answer_pattern": "((("}, r"answer_pattern '\(\(\(' is no regular expression: missing \)"),
        ({"difficulty": "question"}, "line 1: the difficulty 'One\\?' is not a number"),
    ],
)
def test_a_wrong_mapping_names_place_and_field(tmp_path, fields, message):
    with pytest.raises(ProblemsError, match=message):
        load_problems(source(tmp_path, fields=fields), "train")


def test_equal_ids_are_refused(tmp_path):
    with pytest.raises(ProblemsError, match="two problems have the id"):
        load_problems(source(tmp_path, (ROWS[0], ROWS[1], ROWS[0])), "train")


def test_filters_keep_the_range_and_count(tmp_path):
    kept = source(tmp_path, fields={"difficulty": "level"}, min_difficulty=2.0, max_difficulty=3.0)
    assert [p.difficulty for p in load_problems(kept, "train")] == [2.0, 3.0]
    assert len(load_problems(kept.model_copy(update={"count": 1}), "train")) == 1


def test_nothing_left_says_what_each_filter_removed(tmp_path):
    empty = source(tmp_path, fields={"difficulty": "level"}, min_difficulty=2.5, max_difficulty=2.6)
    with pytest.raises(ProblemsError, match="2 below min_difficulty, 1 above max_difficulty"):
        load_problems(empty, "train")


def test_a_reward_that_is_named_judges_generated_problems_too():
    generators = (GeneratorConfig(name="arithmetic"), GeneratorConfig(name="countdown"))
    asked = mixture(*generators, count=40)
    assert {p.reward for p in load_problems(asked, "train")} == {"math", "countdown"}
    own = asked.model_copy(update={"reward": "my_rewards:exact"})
    assert {p.reward for p in load_problems(own, "train")} == {"my_rewards:exact"}
    assert {d.problem.reward for d in generator_demonstrations(own, 10, seed=0)} == {"my_rewards:exact"}


def test_an_empty_slice_is_named_as_the_cause(tmp_path):
    with pytest.raises(ProblemsError, match=r"no rows in .*rows = '7:' leaves 0 of 3"):
        load_problems(source(tmp_path, rows=ROWS).model_copy(update={"rows": "7:"}), "train")


def test_a_mixture_follows_its_weights_and_dresses_each_problem():
    easy = GeneratorConfig(name="arithmetic", weight=3.0, difficulties=(1, 2))
    hard = GeneratorConfig(name="countdown", weight=1.0, difficulties=(3,))
    problems = load_problems(mixture(easy, hard, count=400, prompt="Q: {question}", tags=("t",)), "train")
    kinds = Counter(p.reward for p in problems)
    assert len(problems) == len({p.id for p in problems}) == 400
    assert 260 < kinds["math"] < 340
    assert all(p.messages[-1].content.startswith("Q: ") and p.tags[0] == "t" for p in problems)


@pytest.mark.parametrize("name", ["arithmetic", "countdown"])
def test_the_default_pool_of_every_generator_is_there(name):
    for difficulty in (1, 2, 3):
        pool = load_problems(mixture(GeneratorConfig(name=name, difficulties=(difficulty,))), "train")
        assert len(pool) == 1000


def test_a_generator_source_without_generators():
    with pytest.raises(ProblemsError, match="at least one"):
        load_problems(mixture(), "train")


def test_demonstrations_are_of_the_mixture_and_the_training_split():
    config = mixture(GeneratorConfig(name="arithmetic", difficulties=(2,)), prompt="{question} Think.")
    shown = generator_demonstrations(config, 60, seed=3, answer_form="boxed")
    heldout = {p.id for p in load_problems(config.model_copy(update={"count": 300}), "heldout")}
    assert len(shown) == 60
    assert all(d.problem.messages[-1].content.endswith(" Think.") for d in shown)
    assert all(re.search(r"\\boxed\{\d+\}$", d.response) for d in shown)
    assert not {d.problem.id for d in shown} & heldout


def test_worked_solutions_become_demonstrations(tmp_path):
    fields = {"solution": "answer", "solution_remove": r"####.*"}
    shown = load_solutions(source(tmp_path, fields=fields), "{solution}\nAnswer: {answer}", count=2)
    assert [d.response for d in shown] == ["so\nAnswer: 1,000", "so\nAnswer: 2"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({}, "problems.train.fields.solution"), ({"solution": "answer", "solution_remove": "(("}, "solution_remove")],
)
def test_worked_solutions_that_cannot_be_made(tmp_path, fields, message):
    with pytest.raises(ProblemsError, match=message):
        load_solutions(source(tmp_path, fields=fields), "{solution}", count=2)


def test_demonstrations_from_a_file(tmp_path):
    turns = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "Answer: 4"}]
    (shown,) = load_demonstrations(write(tmp_path, ({"messages": turns, "answer": "4"},)))
    assert (shown.problem.messages, shown.problem.answer) == ((Message("user", "2 + 2?"),), "4")
    assert shown.response == "Answer: 4"


def test_demonstrations_must_end_with_the_assistant(tmp_path):
    file = write(tmp_path, ({"messages": [{"role": "user", "content": "2 + 2?"}]},))
    with pytest.raises(ProblemsError, match="line 1: the last of at least two messages must be the assistant's"):
        load_demonstrations(file)


def test_reasoning_gym_pools_are_full_disjoint_and_scored_by_the_task():
    gym = pytest.importorskip("reasoning_gym")
    config = SourceConfig(kind="reasoning_gym", path="chain_sum", count=100)
    train, heldout = load_problems(config, "train"), load_problems(config, "heldout")
    assert len(train) == len(heldout) == 100
    assert not {p.id for p in train} & {p.id for p in heldout}
    entry = json.loads(heldout[0].answer)
    assert gym.get_score_answer_fn(entry["metadata"]["source_dataset"])(entry["answer"], entry) == 1.0
    with pytest.raises(ProblemsError, match="no task 'chian_sum'"):
        load_problems(config.model_copy(update={"path": "chian_sum"}), "train")


def test_reasoning_gym_entries_that_json_has_no_form_for_and_empty_answers():
    pytest.importorskip("reasoning_gym")
    # Some of its variables are fractions.
    assert len(load_problems(SourceConfig(kind="reasoning_gym", path="gsm_symbolic", count=150), "train")) == 150
    drawn = load_problems(SourceConfig(kind="reasoning_gym", path="ab", count=150), "train")
    assert len(drawn) == 150 and all(json.loads(problem.answer)["answer"].strip() for problem in drawn)


@pytest.mark.parametrize(
    ("task", "reason"),
    [("puzzle24", "generator countdown"), ("game_of_life_halting", "any text"), ("composite", "mixture")],
)
def test_tasks_that_judge_nothing_are_refused_by_name(task, reason):
    with pytest.raises(ValueError, match=rf"{task} cannot be learned from: .*{reason}"):
        SourceConfig(kind="reasoning_gym", path=task)


@pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is not None, reason="reasoning_gym is installed")
def test_a_missing_package_names_the_extra():
    with pytest.raises(BackendUnavailable, match=r"pip install 'perilune\[reasoning-gym\]'"):
        load_problems(SourceConfig(kind="reasoning_gym", path="chain_sum"), "train")


def test_a_pile_keeps_what_a_source_refuses(tmp_path):
    rows = [
        {"question": "2 + 2?", "answer": "4"},
        {"question": "2 + 2?", "answer": "5"},
        {"question": "Prove it.", "answer": None},
        {"question": "Prove it well.", "answer": ""},
        {"question": "And this?"},
    ]
    path = tmp_path / "pile.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = SourceConfig(kind="jsonl", path=str(path), prompt="{question} Think.")
    with pytest.raises(ProblemsError):
        load_problems(source, "train")
    pile = load_pile(source, "train")
    assert [p.answer for p in pile] == ["4", "5", "", "", ""]
    # Undressed, and under ids of their own.
    assert [p.messages[0].content for p in pile] == [row["question"] for row in rows]
    assert pile[1].id == f"{pile[0].id}~2" and len({p.id for p in pile}) == 5
    assert dressed(pile[0], source).messages[0].content == "2 + 2? Think."
    assert len(load_pile(source.model_copy(update={"count": 2}), "train")) == 2


def test_a_pile_without_any_answer_is_told_of(tmp_path):
    path = tmp_path / "pile.jsonl"
    path.write_text('{"question": "2 + 2?", "result": "4"}\n', encoding="utf-8")
    with pytest.raises(ProblemsError, match="no field 'answer'"):
        load_pile(SourceConfig(kind="jsonl", path=str(path)), "train")


def test_a_reward_of_ones_own_gets_the_row_and_our_own_files_hand_it_on(tmp_path):
    rows = [{"question": "1?", "answer": "1", "level": 3, "nested": {"x": [1, None]}}]
    own = source(tmp_path, rows, fields={"answer_pattern": None}, reward={"math": 1, "mine.py:f": 1})
    (problem,) = load_problems(own, "train")
    assert problem.columns == rows[0]
    assert load_problems(source(tmp_path, rows, fields={"answer_pattern": None}), "train")[0].row == ""
    write_problems(tmp_path / "curated.jsonl", [problem], {})
    curated = own.model_copy(update={"path": str(tmp_path / "curated.jsonl")})
    assert load_problems(curated, "train")[0].columns == rows[0]
    shown = json.dumps(messages_record(problem, "1"))
    (tmp_path / "shown.jsonl").write_text(shown + "\n")
    assert load_demonstrations(tmp_path / "shown.jsonl")[0].problem.columns == rows[0]


def test_equal_problems_of_a_pile_are_numbered_on_and_beside_what_has_such_a_name(tmp_path):
    ids = ["a", "a~3", "a", "a", "b", "a", "a~3"]
    rows = [{"id": name, "question": f"{n}?", "answer": "1"} for n, name in enumerate(ids)]
    pile = load_pile(source(tmp_path, rows, fields={"id": "id", "answer_pattern": None}), "train")
    assert [p.id for p in pile] == ["a", "a~3", "a~2", "a~4", "b", "a~5", "a~3~2"]
    assert [p.text for p in pile] == [row["question"] for row in rows]


def test_rows_that_are_left_out_are_counted_and_the_first_ones_told(tmp_path, capsys):
    rows = [{"question": f"{n}?", **({"answer": "1"} if n > 29 else {})} for n in range(40)]
    leave_out = source(tmp_path, rows, fields={"answer_pattern": None}, unusable_rows="leave_out", count=4)
    assert [p.text for p in load_problems(leave_out, "train")] == ["30?", "31?", "32?", "33?"]
    told = capsys.readouterr().err
    assert "30 of 40 rows are left out" in told and told.count("no field 'answer'") == 10 and "and 20 more" in told
    with pytest.raises(ProblemsError, match="30 of 40 rows cannot be used"):
        load_problems(leave_out.model_copy(update={"unusable_rows": "refuse"}), "train")


def test_worked_solutions_are_taken_from_rows_that_become_problems(tmp_path):
    given = source(tmp_path, fields={"solution": "answer"})
    worked = WorkedSolutions(given, "{solution}", count=2)
    problems = load_problems(given, "train", worked.passing(read_records(given)))
    assert len(problems) == 3
    assert worked.taken() == load_solutions(given, "{solution}", count=2)
    only = WorkedSolutions(given, "{answer}", count=1, wanted=lambda problem: problem.answer == "3")
    list(only.passing(read_records(given)))
    assert [d.response for d in only.taken()] == ["3"]


@pytest.mark.parametrize(("kind", "load"), [("jsonl", load_problems), ("jsonl", load_pile), ("parquet", load_problems)])
def test_loading_holds_little_more_than_the_problems(tmp_path, kind, load):
    count, tags = 20_000, [["a", "b"], ["c", "d"]]
    rows = [{"question": f"{n} and {n} and {n}?", "answer": str(n), "tags": tags[n % 2]} for n in range(count)]
    given = source(tmp_path, rows, fields={"answer_pattern": None, "tags": "tags"})
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
        given = given.model_copy(update={"kind": kind, "path": str(tmp_path / "rows.parquet")})
    tracemalloc.start()
    try:
        problems = load(given, "train")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(problems) == count and len({id(p.tags) for p in problems}) == 2
    # Names that were seen and the growth of a list are all that comes on top; rows would be four times as much.
    assert held / count < 700 and peak < 1.5 * held
