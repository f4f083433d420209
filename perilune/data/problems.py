"""Problems and demonstrations from the sources that a recipe names."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

from perilune.data.generators import AnswerForm, Split, Style, generate
from perilune.data.records import Record, read_records
from perilune.errors import BackendUnavailable, ProblemsError
from perilune.recipe.problems import FieldMapping, GeneratorConfig, SourceConfig
from perilune.sandbox.tasks import FunctionTask, read_task, task_json
from perilune.types import Demonstration, Message, Problem

DEFAULT_POOL = 1000
"""Problems drawn from generators where the recipe names no count."""


def load_problems(source: SourceConfig, split: Split) -> list[Problem]:
    """The problems of a source, mapped, filtered and cut to ``count``.

    Raises:
        ProblemsError: the source cannot be read or leaves nothing; the message names file, line and reason.
        BackendUnavailable: it needs a package that is not installed.
    """
    if source.kind == "generator":
        problems = [d.problem for d in generated(source, split, source.count or DEFAULT_POOL, source.seed)]
    elif source.kind == "reasoning_gym":
        problems = _reasoning_gym(source, split)
    elif source.kind == "humaneval":
        problems = [humaneval_problem(record, source) for record in read_records(source)]
    else:
        problems = [map_record(record, source) for record in read_records(source)]
    _check_unique(problems)
    return _filtered(problems, source)[: source.count]


def load_pile(source: SourceConfig, split: Split) -> list[Problem]:
    """The problems of a source as curation takes them: as they are, without the prompt template.

    A row without a reference answer is kept, its answer empty, and equal problems are kept side by side: a later one
    of the same id gets another id ("<id>~2"). ``count`` cuts the pile; its filters by difficulty are not applied.

    Raises:
        ProblemsError: the source cannot be read, or no row of it has an answer.
        BackendUnavailable: it needs a package that is not installed.
    """
    bare = source.model_copy(update={"prompt": "{question}", "min_difficulty": None, "max_difficulty": None})
    if source.kind in ("generator", "reasoning_gym", "humaneval"):
        return load_problems(bare, split)
    problems = [map_record(record, bare, lenient=True) for record in read_records(bare)][: source.count]
    if not any(problem.answer for problem in problems):
        # Not a pile of proofs, more likely a wrong name: the strict reading says what is missing.
        map_record(read_records(bare)[0], bare)
    return _numbered(problems)


def _numbered(problems: Sequence[Problem]) -> list[Problem]:
    """The same problems under unique ids."""
    found: dict[str, Problem] = {}
    for problem in problems:
        name, number = problem.id, 2
        while name in found:
            name, number = f"{problem.id}~{number}", number + 1
        found[name] = replace(problem, id=name)
    return list(found.values())


def generated(
    source: SourceConfig,
    split: Split,
    count: int,
    seed: int,
    *,
    style: Style = "long",
    answer_form: AnswerForm = "answer_line",
) -> list[Demonstration]:
    """``count`` problems of the source's mixture with their worked responses, the prompt template applied."""
    if not source.generators:
        raise ProblemsError("a source of kind 'generator' needs at least one [[generators]] table")
    rng = Random(f"mixture/{seed}/{split}")
    streams: dict[tuple[str, int], Iterator[Demonstration]] = {}
    found: dict[str, Demonstration] = {}
    while len(found) < count:
        spec: GeneratorConfig = rng.choices(source.generators, [g.weight for g in source.generators])[0]
        key = (spec.name, rng.choice(spec.difficulties))
        if key not in streams:
            streams[key] = generate(*key, seed, split, style=style, answer_form=answer_form)
        shown = next(streams[key])
        # Two difficulties of one generator may tell the same story.
        found.setdefault(shown.problem.id, Demonstration(dressed(shown.problem, source), shown.response))
    return list(found.values())


def generator_demonstrations(
    source: SourceConfig, count: int, seed: int, *, answer_form: AnswerForm = "answer_line", style: Style = "long"
) -> list[Demonstration]:
    """Demonstrations from the training split of the source's own mixture."""
    return generated(source, "train", count, seed, style=style, answer_form=answer_form)


def load_solutions(source: SourceConfig, response: str, count: int) -> list[Demonstration]:
    """Demonstrations made of the worked solutions that a source brings, as ``fields.solution`` names them.

    Raises:
        ProblemsError: the source names no field with solutions.
    """
    fields = source.fields
    if fields.solution is None:
        raise ProblemsError(
            "the warm-up needs demonstrations: name a file in sft.demonstrations, or the field with worked solutions "
            "in problems.train.fields.solution"
        )
    shown: list[Demonstration] = []
    for where, record in read_records(source)[:count]:
        problem = map_record((where, record), source)
        solution = str(_field(record, fields.solution, where))
        if fields.solution_remove is not None:
            solution = _pattern(fields.solution_remove, "solution_remove").sub("", solution)
        text = response.replace("{solution}", solution.strip()).replace("{answer}", problem.answer)
        shown.append(Demonstration(problem, text))
    return shown


def load_demonstrations(path: Path, count: int | None = None) -> list[Demonstration]:
    """Demonstrations from a JSONL file of chat messages, the last of them the assistant's; extra key: answer.

    Raises:
        ProblemsError: naming file, line and reason.
    """
    source = SourceConfig(kind="jsonl", path=str(path))
    shown: list[Demonstration] = []
    for where, record in read_records(source)[:count]:
        messages = messages_of(_field(record, "messages", where), where)
        if len(messages) < 2 or messages[-1].role != "assistant":
            raise ProblemsError(f"{where}: the last of at least two messages must be the assistant's")
        answer, reward = str(record.get("answer", "")), str(record.get("reward", "math"))
        problem = Problem(content_id(messages), messages[:-1], answer, reward)
        shown.append(Demonstration(problem, messages[-1].content))
    return shown


def map_record(record: Record, source: SourceConfig, *, lenient: bool = False) -> Problem:
    """One row as a problem.

    Args:
        record: the row and its place.
        source: its mapping.
        lenient: leave the answer empty where there is none, and an answer unchecked.

    Raises:
        ProblemsError: a field is missing, or the answer pattern does not match.
    """
    where, row = record
    fields = source.fields
    question = _field(row, fields.question, where)
    messages = messages_of(question, where) if isinstance(question, list) else (Message("user", str(question)),)
    images = _strings(_field(row, fields.images, where)) if fields.images else ()
    if images:
        messages = (*messages[:-1], Message(messages[-1].role, messages[-1].content, images))
    tags = _strings(_field(row, fields.tags, where)) if fields.tags else ()
    problem = Problem(
        id=str(_field(row, fields.id, where)) if fields.id else content_id(messages),
        messages=messages,
        answer=_lenient_answer(row, fields, where) if lenient else _answer(row, fields, where),
        reward=source.reward or "math",
        tags=(*source.tags, *tags),
        difficulty=_number(_field(row, fields.difficulty, where), where) if fields.difficulty else None,
        pass_rate=_number(_field(row, fields.pass_rate, where), where) if fields.pass_rate else None,
    )
    if source.reward == "code" and not lenient:
        _check_code(problem.answer, where)
    return dressed(problem, source)


def dressed(problem: Problem, source: SourceConfig) -> Problem:
    """The source's prompt template, tags and reward; other braces in the template stay as they are.

    Raises:
        ProblemsError: the template has no {question}.
    """
    if "{question}" not in source.prompt:
        raise ProblemsError(f"prompt = {source.prompt!r} has no {{question}}, so the question would not be asked")
    *earlier, last = problem.messages
    asked = Message(last.role, source.prompt.replace("{question}", last.content), last.images)
    tags = tuple(dict.fromkeys((*source.tags, *problem.tags)))
    reward = source.reward or problem.reward
    return replace(problem, messages=(*earlier, asked), reward=reward, tags=tags)


def humaneval_problem(record: Record, source: SourceConfig) -> Problem:
    """One row of HumanEval, or of a set in its form: prompt, test, entry_point, canonical_solution, task_id.

    Raises:
        ProblemsError: a field is missing, or they make no task.
    """
    where, row = record
    prompt, entry_point = str(_field(row, "prompt", where)), str(_field(row, "entry_point", where))
    check, solution = str(_field(row, "test", where)), str(row.get("canonical_solution") or "")
    answer = task_json(FunctionTask(entry_point, check, prompt, solution))
    _check_code(answer, where)
    messages = (Message("user", f"Complete the Python function {entry_point}.\n```python\n{prompt.strip()}\n```"),)
    name = str(row.get("task_id") or content_id(messages))
    return dressed(Problem(name, messages, answer, "code", ("humaneval",)), source)


def _check_code(answer: str, where: str) -> None:
    try:
        read_task(answer)
    except ValueError as error:
        raise ProblemsError(f"{where}: the reward 'code' cannot judge by this answer: {error}") from None


def _answer(row: Mapping[str, Any], fields: FieldMapping, where: str) -> str:
    value = _field(row, fields.answer, where)
    # A structured answer, such as a code problem's tests, is handed on as JSON.
    answer = (json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)).strip()
    if fields.answer_pattern is not None:
        match = _pattern(fields.answer_pattern, "answer_pattern").search(answer)
        if match is None or not match.groups():
            raise ProblemsError(
                f"{where}: answer_pattern {fields.answer_pattern!r} finds no group in the field {fields.answer!r}"
            )
        answer = match.group(1).strip()
    if not answer:
        raise ProblemsError(f"{where}: the answer is empty")
    return answer


def _lenient_answer(row: Mapping[str, Any], fields: FieldMapping, where: str) -> str:
    """The answer, or nothing where there is none."""
    try:
        return _answer(row, fields, where)
    except ProblemsError:
        return ""


def _pattern(text: str, name: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ProblemsError(f"problems.*.fields.{name} {text!r} is no regular expression: {error}") from None


def _field(row: Mapping[str, Any], name: str, where: str) -> Any:
    """A field by its name; dots lead into nested objects."""
    value: Any = row
    for part in [name] if name in row else name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = list(value) if isinstance(value, Mapping) else []
            near = difflib.get_close_matches(part, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(map(str, known)) or 'none'}"
            raise ProblemsError(f"{where}: no field {name!r}{hint} Set the name under problems.*.fields")
        value = value[part]
    if value is None:
        raise ProblemsError(f"{where}: the field {name!r} is null")
    return value


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """Chat messages as rows have them.

    Raises:
        ProblemsError: they are no list of objects with role and content.
    """
    try:
        return tuple(Message(str(turn["role"]), str(turn["content"])) for turn in value)
    except (TypeError, KeyError):
        raise ProblemsError(f"{where}: chat messages need a list of objects with role and content") from None


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ProblemsError(f"{where}: the difficulty {value!r} is not a number") from None


def content_id(messages: Sequence[Message]) -> str:
    """A name for messages that says what is in them."""
    text = "\x00".join(f"{m.role}\x00{m.content}\x00{' '.join(m.images)}" for m in messages)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _check_unique(problems: Sequence[Problem]) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            question = problem.messages[-1].content[:80]
            raise ProblemsError(f"two problems have the id {problem.id!r} ({question!r} …); remove one of them")
        seen.add(problem.id)


def _filtered(problems: Sequence[Problem], source: SourceConfig) -> list[Problem]:
    low, high = source.min_difficulty, source.max_difficulty
    easy = [p for p in problems if low is not None and (p.difficulty is None or p.difficulty < low)]
    hard = [p for p in problems if high is not None and (p.difficulty is None or p.difficulty > high)]
    dropped = {p.id for p in (*easy, *hard)}
    kept = [p for p in problems if p.id not in dropped]
    if not kept:
        raise ProblemsError(
            f"no problem is left of {len(problems)} from {source.path or source.kind}: {len(easy)} below "
            f"min_difficulty, {len(hard)} above max_difficulty; loosen the filters or check the file"
        )
    return kept


def _reasoning_gym(source: SourceConfig, split: Split) -> list[Problem]:
    """``count`` problems of one reasoning-gym task, or all that its first entries hold; equal questions count once."""
    try:
        import reasoning_gym
    except ImportError:
        raise BackendUnavailable(
            "problems of kind 'reasoning_gym' need its package: pip install 'perilune[reasoning-gym]'"
        ) from None
    count = source.count or DEFAULT_POOL
    # Entries are made when they are asked for; one in five is held out.
    tries = 20 * count
    try:
        data = reasoning_gym.create_dataset(source.path, size=tries, seed=source.seed)
    except ValueError as error:
        raise ProblemsError(f"reasoning_gym has no task {source.path!r}: {error}") from error
    found: dict[str, Problem] = {}
    for entry in itertools.islice(data, tries):
        if len(found) == count:
            break
        messages = (Message("user", str(entry["question"])),)
        # A question's split is decided by its content, as with the built-in generators.
        held_out = int(content_id(messages), 16) % 5 == 0
        if held_out == (split == "heldout"):
            tags = ("reasoning_gym", str(source.path))
            problem = Problem(content_id(messages), messages, json.dumps(entry), "reasoning_gym", tags)
            found.setdefault(problem.id, dressed(problem, source))
    return list(found.values())
