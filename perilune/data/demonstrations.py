"""Demonstrations from what a recipe names: its generators, worked solutions in its source, a file of chats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
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


class WorkedSolutions:
    """Demonstrations made of the worked solutions of rows, as these pass by on their way to become problems.

    Args:
        source: whose ``fields.solution`` names them, or whose form does.
        response: what is made of each: {solution} and {answer} are replaced.
        count: at most so many.
        wanted: whether a problem's is.
    """

    def __init__(
        self, source: SourceConfig, response: str, count: int, wanted: Callable[[Problem], bool] = lambda problem: True
    ) -> None:
        self._source, self._response, self._count, self._wanted = source, response, count, wanted
        self._shown: list[Demonstration] = []
        self._fault: ProblemsError | None = None
        if source.fields.solution is None and source.form is None:
            self._fault = ProblemsError(
                "the warm-up needs demonstrations: name a file in sft.demonstrations, or the field with worked "
                "solutions in problems.train.fields.solution"
            )

    def passing(self, rows: Iterable[Record]) -> Iterator[Record]:
        """The same rows; what is wrong with a solution is told by :meth:`taken`."""
        for row in rows:
            if not self.full:
                self._take(row)
            yield row

    @property
    def full(self) -> bool:
        """True if no more rows are needed."""
        return self._fault is not None or len(self._shown) == self._count

    def taken(self) -> list[Demonstration]:
        """Those of the rows that have passed.

        Raises:
            ProblemsError: the source names no field with solutions, or a row has none and none may be left out.
        """
        if self._fault is not None:
            raise self._fault
        return self._shown

    def _take(self, row: Record) -> None:
        try:
            demonstration = _worked(row, self._source, self._response)
        except ProblemsError as fault:
            if self._source.unusable_rows == "refuse":
                self._fault = fault
            return
        if demonstration is not None and self._wanted(demonstration.problem):
            self._shown.append(demonstration)


def load_solutions(source: SourceConfig, response: str, count: int) -> list[Demonstration]:
    """The first demonstrations made of the worked solutions that a source brings; no row after them is read.

    Raises:
        ProblemsError: the source names no field with solutions.
    """
    worked = WorkedSolutions(source, response, count)
    if not worked.full:
        rows = worked.passing(read_records(source))
        while not worked.full and next(rows, None) is not None:
            pass
    return worked.taken()


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
    for where, record in islice(read_records(source), count):
        messages = messages_of(field_of(record, "messages", where), where)
        if len(messages) < 2 or messages[-1].role != "assistant":
            raise ProblemsError(f"{where}: the last of at least two messages must be the assistant's")
        answer, reward = str(record.get("answer", "")), str(record.get("reward", "math"))
        problem = Problem(content_id(messages), messages[:-1], answer, reward, row=str(record.get(ROW, "")))
        shown.append(Demonstration(problem, messages[-1].content))
    return shown
