"""Near-duplicates as they were first looked for, each problem among all: what faster ways must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasketch import MinHashLSH

from perilune.curation.similarity import ngrams, similarity, sketch
from perilune.curation.words import numbers, operators, rational, tokens, without_lead_in
from perilune.recipe.curation import DuplicatesConfig
from perilune.types import Problem


def plain_duplicates(problems: Sequence[Problem], config: DuplicatesConfig) -> list[tuple[str, str, str]]:
    """(id, detail's first word, match) of what is dropped, in the order of the problems."""
    index = MinHashLSH(threshold=config.threshold, num_perm=config.permutations, weights=(0.1, 0.9))
    entries, kept, dropped = [_entry(problem) for problem in problems], list[dict[str, Any]](), {}
    for entry in sorted(entries, key=lambda entry: entry["answer"] == ""):
        same = [k for k in kept if (k["text"], k["images"]) == (entry["text"], entry["images"])]
        grams = ngrams(entry["text"], config.ngram)
        hashed = sketch(grams, config.permutations)
        near = [
            (value, -place, f"similarity {value:.2f}")
            for place in index.query(hashed)
            if kept[place]["images"] == entry["images"]
            and (not config.same_numbers or _same_task(kept[place], entry))
            and (value := similarity(grams, ngrams(kept[place]["text"], config.ngram))) >= config.threshold
        ]
        if same:
            conflict = entry["answer"] not in {same[0]["answer"], ""}
            dropped[entry["id"]] = ("same text" if conflict else "similarity 1.00", same[0]["id"])
        elif near:
            _, place, detail = max(near)
            dropped[entry["id"]] = (detail, kept[-place]["id"])
        else:
            index.insert(len(kept), hashed)
            kept.append(entry)
    return [(p.id, *dropped[p.id]) for p in problems if p.id in dropped]


def _entry(problem: Problem) -> dict[str, Any]:
    text = without_lead_in(problem.text)
    words, answer = tokens(text), tokens(problem.answer)
    return {
        "id": problem.id,
        "text": " ".join(words),
        "images": tuple(image for message in problem.messages for image in message.images),
        "numbers": numbers(text, words),
        "operators": operators(words),
        "answer": " ".join(answer) if rational(answer) is None else rational(answer),
    }


def _same_task(one: dict[str, Any], other: dict[str, Any]) -> bool:
    same_answer = one["answer"] == other["answer"] or "" in {one["answer"], other["answer"]}
    return same_answer and one["numbers"] == other["numbers"] and one["operators"] == other["operators"]
