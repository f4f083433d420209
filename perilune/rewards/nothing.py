"""Where every grading ends in an error there is nothing to learn from, and no run goes on as if there were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from perilune.errors import NothingGraded
from perilune.types import Grade, Verdict

_REASONS = 3


def check_graded(grades: Iterable[Grade], what: str, kept: str) -> None:
    """Look whether anything could be graded, where anything was to be.

    Args:
        grades: all of them.
        what: an iteration, an evaluation; for the message.
        kept: what is not lost.

    Raises:
        NothingGraded: there are grades, and all of them are errors; tells the most frequent reasons.
    """
    found = list(grades)
    if not found or any(grade.verdict is not Verdict.ERROR for grade in found):
        return
    reasons = Counter(grade.detail for grade in found).most_common()
    told = "; ".join(f"{count} × {detail}" for detail, count in reasons[:_REASONS])
    more = f"; and {len(reasons) - _REASONS} other reasons" if len(reasons) > _REASONS else ""
    raise NothingGraded(
        f"nothing of {what} could be graded: all {len(found)} gradings ended in errors ({told}{more}). {kept} Mend "
        "what they say, then resume the run: the same responses are graded again. A reward in a file is kept with the "
        "run, in its folder rewards/: mend it there"
    )
