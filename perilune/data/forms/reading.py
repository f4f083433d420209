"""Rows of public data sets, by the name of their form, as the recipe's mapping reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from perilune.data.forms import contests, functions
from perilune.data.forms.row import Formed, Row
from perilune.data.records import Record
from perilune.errors import ProblemsError
from perilune.recipe.problems import FieldMapping, SourceConfig

FORMS: Mapping[str, Callable[[Row], Formed]] = {
    "apps": contests.apps,
    "taco": contests.taco,
    "code_contests": contests.code_contests,
    "eurus": contests.eurus,
    "livecodebench": contests.livecodebench,
    "case_list": contests.case_list,
    "mbpp": functions.mbpp,
    "mbpp_plus": functions.mbpp,
    "humaneval": functions.humaneval,
    "humaneval_plus": functions.humaneval,
    "kodcode": functions.kodcode,
    "bigcodebench": functions.bigcodebench,
}


def in_form(record: Record, source: SourceConfig) -> tuple[Record, SourceConfig]:
    """A row with what its form says of it in columns of ours, and the source that maps them; both as they are without.

    The row's own columns stay, and a mapping that names one of them goes before the form's.

    Raises:
        ProblemsError: the row is not in its form, or has nothing to judge by; says why.
    """
    if source.form is None:
        return record, source
    where, row = record
    try:
        formed = FORMS[source.form](row)
    except ValueError as error:
        raise ProblemsError(f"{where}: not a problem of the form {source.form!r}: {error}") from None
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        # Whatever else a row holds in place of what is read here.
        message = f"{where}: not in the form {source.form!r} ({type(error).__name__}: {error})"
        raise ProblemsError(f"{message}; there are: {', '.join(map(str, row))}") from None
    said = {
        "question": formed.question,
        "answer": json.dumps(formed.task, ensure_ascii=False),
        "tags": list(dict.fromkeys((source.form, *formed.tags))),
        "id": formed.id or None,
        "difficulty": formed.difficulty,
        "solution": formed.solution or None,
    }
    columns = {f"form.{name}": value for name, value in said.items() if value is not None}
    mapped = {name.removeprefix("form."): name for name in columns}
    mapped |= {name: getattr(source.fields, name) for name in source.fields.model_fields_set}
    update = {"fields": FieldMapping(**mapped), "reward": source.reward or "code"}
    return (where, {**row, **columns}), source.model_copy(update=update)
