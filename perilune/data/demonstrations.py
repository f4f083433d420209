"""Demonstrations from what a recipe names: its generators, worked solutions in its source, a file of chats."""

from __future__ import annotations

from pathlib import Path

from perilune.data.forms.reading import in_form
from perilune.data.generators import AnswerForm, Style
from perilune.data.mapping import ROW, compiled, content_id, field_of, map_record, messages_of
from perilune.data.mixture import generated
from perilune.data.records import Record, read_records
from perilune.errors import ProblemsError
from perilune.recipe.problems import SourceConfig
from perilune.types import Demonstration, Problem


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
    if source.fields.solution is None and source.form is None:
        raise ProblemsError(
            "the warm-up needs demonstrations: name a file in sft.demonstrations, or the field with worked solutions "
            "in problems.train.fields.solution"
        )
    shown: list[Demonstration] = []
    for row in read_records(source):
        if len(shown) == count:
            break
        try:
            demonstration = _worked(row, source, response)
        except ProblemsError:
            if source.unusable_rows == "refuse":
                raise
            continue
        if demonstration is not None:
            shown.append(demonstration)
    return shown


def _worked(row: Record, source: SourceConfig, response: str) -> Demonstration | None:
    """A row's worked solution as a response; None where a form's row brings none."""
    (where, record), mapped = in_form(row, source)
    fields = mapped.fields
    if fields.solution is None:
        return None
    problem = map_record(row, source)
    solution = str(field_of(record, fields.solution, where))
    if fields.solution_remove is not None:
        solution = compiled(fields.solution_remove, "solution_remove").sub("", solution)
    solution = solution.strip()
    if source.form is not None:
        # A program's answer are its tests, which are no part of a response.
        solution, response = f"```python\n{solution}\n```", "{solution}" if "{answer}" in response else response
    return Demonstration(problem, response.replace("{solution}", solution).replace("{answer}", problem.answer))


def load_demonstrations(path: Path, count: int | None = None) -> list[Demonstration]:
    """Demonstrations from a JSONL file of chat messages, the last of them the assistant's; extra key: answer.

    Raises:
        ProblemsError: naming file, line and reason.
    """
    source = SourceConfig(kind="jsonl", path=str(path))
    shown: list[Demonstration] = []
    for where, record in read_records(source)[:count]:
        messages = messages_of(field_of(record, "messages", where), where)
        if len(messages) < 2 or messages[-1].role != "assistant":
            raise ProblemsError(f"{where}: the last of at least two messages must be the assistant's")
        answer, reward = str(record.get("answer", "")), str(record.get("reward", "math"))
        problem = Problem(content_id(messages), messages[:-1], answer, reward, row=str(record.get(ROW, "")))
        shown.append(Demonstration(problem, messages[-1].content))
    return shown
