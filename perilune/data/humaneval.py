"""The source of kind humaneval: HumanEval's rows, or those of a set in its form."""

from __future__ import annotations

from perilune.data.mapping import check_code, content_id, dressed, field_of
from perilune.data.records import Record
from perilune.recipe.problems import SourceConfig
from perilune.sandbox.tasks import FunctionTask, task_json
from perilune.types import Message, Problem


def humaneval_problem(record: Record, source: SourceConfig) -> Problem:
    """One row of HumanEval, or of a set in its form: prompt, test, entry_point, canonical_solution, task_id.

    Raises:
        ProblemsError: a field is missing, or they make no task.
    """
    where, row = record
    prompt, entry_point = str(field_of(row, "prompt", where)), str(field_of(row, "entry_point", where))
    check, solution = str(field_of(row, "test", where)), str(row.get("canonical_solution") or "")
    answer = task_json(FunctionTask(entry_point, check, prompt, solution))
    check_code(answer, where)
    messages = (Message("user", f"Complete the Python function {entry_point}.\n```python\n{prompt.strip()}\n```"),)
    name = str(row.get("task_id") or content_id(messages))
    return dressed(Problem(name, messages, answer, "code", ("humaneval",)), source)
