import pytest
from curations import counts, write_curation
from rich.cells import cell_len

from perilune.report.curation_data import read_curation
from perilune.report.curation_text import funnel_lines


def lines_of(tmp_path, found=None, **options):
    return funnel_lines(read_curation(write_curation(tmp_path, found, **options)))


def line_of(lines, start):
    (line,) = [line for line in lines if line.strip().startswith(start)]
    return line


def test_the_funnel_is_told_in_figures_and_bars(tmp_path):
    lines = lines_of(tmp_path)
    assert lines[0] == "demo with a-model: 600 of 1,000 problems stay (60%)"
    forms = line_of(lines, "forms")
    assert "1,000 →     930" in forms and forms.endswith("multiple choice 60, proof 10")
    assert forms.count("█") == 22 and forms.count("░") == 2
    difficulty = line_of(lines, "difficulty")
    assert difficulty.count("█") == 14 and difficulty.count("░") == 5


def test_bands_and_tags_are_told_before_and_after(tmp_path):
    lines = lines_of(tmp_path)
    assert "Bands, by pass rate of 4 answers: before → after" in lines
    assert "200 →       0" in line_of(lines, "trivial") and "█" not in line_of(lines, "trivial")
    assert "700 →     450" in line_of(lines, "mathematics/arithmetic")


def test_files_that_are_there_are_named(tmp_path):
    lines = lines_of(tmp_path)
    assert line_of(lines, "kept").endswith("curation/problems.jsonl")
    assert line_of(lines, "dropped").endswith("curation/dropped.jsonl")
    assert not any("report.html" in line for line in lines)


@pytest.mark.parametrize("name", ["题目来源与学科分类" * 6, "x" * 300, "Prüfung"])
def test_no_line_is_wider_than_the_terminal(tmp_path, name):
    found = counts()
    found["steps"][0] |= {"name": name, "reasons": {name: 60, f"{name} 2": 5, "proof": 5}}
    found["tags"] = {"before": {f"{name}/{number}": 9 for number in range(30)}, "after": {}}
    lines = lines_of(tmp_path, found)
    files = lines.index("", len(lines) - 5)
    assert max(cell_len(line) for line in lines[:files]) <= 100
    # Columns stay aligned: the arrow of every step is in one place.
    assert len({cell_len(line.split("→")[0]) for line in lines[3:7] if "→" in line}) == 1


def test_the_smallest_tags_are_summed(tmp_path):
    tags = {f"topic {number:02}": 50 - number for number in range(30)}
    lines = lines_of(tmp_path, counts() | {"tags": {"before": tags, "after": {"topic 29": 4}}})
    assert "topic 08" in line_of(lines, "topic 08") and not any("topic 09" in line for line in lines)
    assert f"{sum(range(21, 42))} →       4" in line_of(lines, "21 others")


def test_a_step_under_way_is_told(tmp_path):
    found = {"name": "demo", "steps": counts()["steps"][:2], "running": {"name": "guess", "done": 1500, "total": 7200}}
    lines = lines_of(tmp_path, found)
    assert lines[0] == "demo: 900 of 1,000 problems stay (90%) (not finished)"
    assert line_of(lines, "guess").endswith("1,500 of 7,200 so far")
    assert not any("Bands" in line or "discipline" in line for line in lines)


def test_nothing_done_and_nothing_kept_are_told(tmp_path):
    assert lines_of(tmp_path / "a", {"name": "demo", "steps": []})[0] == "demo: no step is done yet"
    gone = {"name": "demo", "finished": True, "steps": [{"name": "forms", "entered": 3, "kept": 0}]}
    lines = lines_of(tmp_path / "b", gone)
    assert lines[0] == "demo: 0 of 3 problems stay (0%)" and line_of(lines, "forms").count("░") == 24


def test_what_little_there_is_has_a_mark(tmp_path):
    steps = [{"name": "forms", "entered": 10_000, "kept": 9_999}, {"name": "guess", "entered": 9_999, "kept": 1}]
    lines = lines_of(tmp_path, {"name": "demo", "steps": steps})
    assert line_of(lines, "forms").count("░") == 1 and line_of(lines, "forms").count("█") == 23
    assert line_of(lines, "guess").count("█") == 1


def test_no_control_character_reaches_the_terminal(tmp_path):
    found = counts() | {"name": "evil\x1b[31m\nname", "model": "\u202e\ud800"}
    found["steps"][0] |= {"name": "a\x07b", "reasons": {"odd\rreason": 70}}
    found["tags"] = {"before": {"x\x1b]0;title\x07": 1}}
    assert all(line.isprintable() for line in lines_of(tmp_path, found))
