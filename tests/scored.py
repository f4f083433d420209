"""Scored responses of chosen verdicts and lengths."""

from perilune.types import Grade, Message, Problem, ScoredResponse, Stop, Verdict

VERDICTS = {"+": Verdict.RIGHT, "-": Verdict.WRONG, "!": Verdict.ERROR}


def answers(verdicts, tokens, sample=0):
    """One response a problem: '+' right, '-' wrong, '!' not graded."""
    tokens = [tokens] * len(verdicts) if isinstance(tokens, int) else tokens
    return [
        ScoredResponse(
            Problem(f"p{place}", (Message("user", "?"),), "1"),
            "text",
            length,
            Stop.ENDED,
            Grade(VERDICTS[verdict], float(verdict == "+")),
            sample,
        )
        for place, (verdict, length) in enumerate(zip(verdicts, tokens, strict=True))
    ]
