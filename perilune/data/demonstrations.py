"""Demonstrations from what a recipe names: its generators, worked solutions in its source, a file of chats."""

from __future__ import annotations

from pathlib import Path

from perilune.data.generators import AnswerForm, Style
from perilune.data.mapping import compiled, content_id, field_of, map_record, messages_of
from perilune.data.mixture import generated
from perilune.data.records import read_records
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
    fields = source.fields
    if fields.solution is None:
        raise ProblemsError(
            "the warm-up needs demonstrations: name a file in sft.demonstrations, or the field with worked solutions "
            "in problems.train.fields.solution"
        )
    shown: list[Demonstration] = []
    for where, record in read_records(source)[:count]:
        problem = map_record((where, record), source)
        solution = str(field_of(record, fields.solution, where))
        if fields.solution_remove is not None:
            solution = compiled(fields.solution_remove, "solution_remove").sub("", solution)
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
        messages = messages_of(field_of(record, "messages", where), where)
        if len(messages) < 2 or messages[-1].role != "assistant":
            raise ProblemsError(f"{where}: the last of at least two messages must be the assistant's")
        answer, reward = str(record.get("answer", "")), str(record.get("reward", "math"))
        problem = Problem(content_id(messages), messages[:-1], answer, reward)
        shown.append(Demonstration(problem, messages[-1].content))
    return shown
