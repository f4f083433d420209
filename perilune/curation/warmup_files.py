"""The warm-up set as files: demonstrations as chat messages, what was rejected and why, and the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perilune.curation.behaviours import Behaviour
from perilune.curation.warmup_set import RejectedResponse, Rejection, WarmupResponse, WarmupSet
from perilune.data.mapping import ROW
from perilune.run.jsonl import json_line, replace_lines
from perilune.types import Verdict


def write_messages(path: Path, demonstrations: Sequence[WarmupResponse]) -> None:
    """Write demonstrations as JSONL of chat messages, which TRL's SFTTrainer and ``sft.demonstrations`` read as it is.

    Raises:
        RunFolderError: the file cannot be written.
    """
    replace_lines(path, map(json_line, map(_messages, demonstrations)))


def write_rejected(path: Path, rejected: Sequence[RejectedResponse]) -> None:
    """Write what was rejected as JSONL, each with its reason.

    Raises:
        RunFolderError: the file cannot be written.
    """
    replace_lines(path, map(json_line, map(_rejected, rejected)))


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the figures as JSON.

    Raises:
        RunFolderError: the file cannot be written.
    """
    replace_lines(path, [json.dumps(summary, indent=2, ensure_ascii=False) + "\n"])


def summarize_warmup(built: WarmupSet) -> dict[str, Any]:
    """The figures: funnel, behaviours before and after, yield per variant; ready for JSON."""
    counts = built.counts
    everything = [*built.kept, *(rejected.response for rejected in built.rejected)]
    variants = sorted({response.variant for response in everything})
    return {
        "asked": counts.asked,
        "kept": counts.kept,
        "dropped": {reason.value: count for reason, count in counts.dropped.items()},
        "problems": len({response.problem.id for response in everything}),
        "problems_shown": len({response.problem.id for response in built.kept}),
        "right": sum(map(_is_right, everything)),
        "mean_tokens": _mean([response.tokens for response in built.kept]),
        "behaviours": {
            "responses": _behaviours(everything),
            "right": _behaviours([response for response in everything if _is_right(response)]),
            "kept": _behaviours(built.kept),
        },
        "variants": {variant: _of_variant(built, variant) for variant in variants},
    }


def _of_variant(built: WarmupSet, variant: str) -> dict[str, Any]:
    kept = [response for response in built.kept if response.variant == variant]
    dropped = [rejected for rejected in built.rejected if rejected.response.variant == variant]
    everything = [*kept, *(rejected.response for rejected in dropped)]
    chosen_against = (Rejection.OVER_PER_PROBLEM, Rejection.OVER_COUNT)
    passed = len(kept) + sum(rejected.reason in chosen_against for rejected in dropped)
    return {
        "asked": len(everything),
        "right": sum(map(_is_right, everything)),
        "passed": passed,
        "kept": len(kept),
        "yield": round(passed / len(everything), 4),
        "behaviours": _behaviours(everything),
    }


def _is_right(response: WarmupResponse) -> bool:
    return response.grade.verdict is Verdict.RIGHT


def _behaviours(responses: Sequence[WarmupResponse]) -> dict[str, int]:
    """How many of the responses show each behaviour."""
    return {b.value: sum(b in response.behaviours for response in responses) for b in Behaviour}


def _mean(values: Sequence[int]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


def _messages(shown: WarmupResponse) -> dict[str, Any]:
    turns = [{"role": message.role, "content": message.content} for message in shown.problem.messages]
    return {
        "messages": [*turns, {"role": "assistant", "content": shown.text}],
        "answer": shown.problem.answer,
        "reward": shown.problem.reward,
        **({ROW: shown.problem.row} if shown.problem.row else {}),
        "problem": shown.problem.id,
        "variant": shown.variant,
        "behaviours": sorted(shown.behaviours),
        "sample": shown.sample,
        "tokens": shown.tokens,
    }


def _rejected(rejected: RejectedResponse) -> dict[str, Any]:
    response = rejected.response
    return {
        "reason": rejected.reason,
        "detail": rejected.detail,
        "problem": response.problem.id,
        "variant": response.variant,
        "sample": response.sample,
        "question": response.problem.messages[-1].content,
        "answer": response.problem.answer,
        "response": response.text,
        "behaviours": sorted(response.behaviours),
        "stop": response.stop,
        "tokens": response.tokens,
    }
