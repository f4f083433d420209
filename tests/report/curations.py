"""A curation folder in the form that the stage writes."""

import json
from pathlib import Path

EVIL = "</pre></script><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""


def problem(number, **values):
    found = {"id": f"p/{number}", "question": f"What is {number} + 1?", "answer": str(number + 1), "reward": "math"}
    return found | {"tags": ["mathematics/arithmetic"], "difficulty": None, "pass_rate": None, "band": None} | values


def dropped(number, step, reason, **values):
    fate = {"step": step, "reason": reason, "detail": "", "match": "", "match_question": ""}
    return problem(number) | fate | values


def counts():
    steps = [
        ("forms", 1000, {"proof": 10, "multiple_choice": 60}),
        ("duplicates", 930, {"duplicate": 30}),
        ("guess", 900, {"guessable": 100}),
        ("difficulty", 800, {"trivial": 200}),
    ]
    return {
        "name": "demo",
        "model": "a-model",
        "finished": True,
        "steps": [
            {
                "name": name,
                "entered": entered,
                "kept": entered - sum(reasons.values()),
                "seconds": 1.5,
                "note": f"note of {name}",
                "reasons": reasons,
            }
            for name, entered, reasons in steps
        ],
        "tags": {
            "before": {"mathematics/arithmetic": 700, "science/physics": 300},
            "after": {"mathematics/arithmetic": 450, "science/physics": 150},
        },
        "difficulty": {
            "samples": 4,
            "before": [100, 200, 200, 100, 200],
            "after": [100, 200, 200, 100, 0],
            "bands": {
                "before": {"trivial": 200, "easy": 100, "medium": 200, "hard": 200, "hopeless": 100},
                "after": {"trivial": 0, "easy": 100, "medium": 200, "hard": 200, "hopeless": 100},
            },
        },
        "contamination_sets": {"heldout": 240},
        "guess": {"attempts": 2, "hits": [800, 70, 30]},
        "seconds": {"forms": 1.5},
    }


def write_curation(folder: Path, found=None, kept=None, gone=None) -> Path:
    """Write RUN/curation; None takes what a finished curation of 1,000 problems has."""
    if kept is None:
        kept = [problem(n, band=("easy", "hard")[n % 2], pass_rate=0.75 - 0.5 * (n % 2)) for n in range(20)]
    if gone is None:
        match = {"match": "p/3", "match_question": "How much is 3 plus 1?", "detail": "similarity 0.91"}
        gone = [dropped(n, "forms", "multiple_choice", detail=f"option {n}") for n in range(100, 160)]
        gone += [dropped(n, "duplicates", "duplicate", **match) for n in range(200, 230)]
    folder = folder / "curation"
    folder.mkdir(parents=True)
    (folder / "curation.json").write_text(json.dumps(counts() if found is None else found), encoding="utf-8")
    for name, records in (("problems.jsonl", kept), ("dropped.jsonl", gone)):
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return folder
