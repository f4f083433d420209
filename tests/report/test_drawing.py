import json
import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from drawings import SVG, elements, sentence

from perilune.report.bars import Part, Row, Track, horizontal_bars
from perilune.report.chart import Chart
from perilune.report.drawing import draw
from perilune.report.figures import Figure, shown
from perilune.report.palette import CHART_CSS, COLOURS
from perilune.report.scatter import Mark, scatter_chart
from perilune.report.series import Series, line_chart, stacked_bars

LINES = line_chart(
    "Reward", [Series("reward", 2, ((1, 0.1), (2, 0.4)), ((0.05, 0.2), None)), Series("b", 1, ((1, 1.0),))]
)
BARS = stacked_bars("Stops", [Series("ended", 0, ((1, 0.75),)), Series("repeated", 5, ((1, 0.25),))], top=1.0)
POINTS = scatter_chart(
    "Trade-off", [Mark("long", 40, 0.9, (30, 50)), Mark("rl", 20, 0.6)], front=("rl",), reference="long"
)
WRONG = replace(LINES, spec={**LINES.spec, "layer": [{"mark": "no such mark"}]})
OUTSIDE = replace(LINES, spec={**LINES.spec, "data": {"url": "https://example.com/data.json"}})


@pytest.fixture(scope="module")
def drawn():
    return draw([LINES, None, WRONG, BARS, OUTSIDE, POINTS])


def python(program):
    """What draws in place of ours."""
    return [sys.executable, "-c", program]


def test_drawings_come_in_the_order_asked_for(drawn):
    summaries = [ElementTree.fromstring(svg).get("aria-label") for svg in drawn if svg]
    said = [LINES.summary, WRONG.summary, BARS.summary, OUTSIDE.summary, POINTS.summary]
    assert all(words.endswith(end) for words, end in zip(summaries, said, strict=True))
    assert drawn[1] == ""


def test_a_drawing_is_made_for_a_page(drawn):
    for chart, svg in ((LINES, drawn[0]), (BARS, drawn[3]), (POINTS, drawn[5])):
        root = ElementTree.fromstring(svg)
        assert root.tag == SVG + "svg" and root.get("viewBox") == f"0 0 {chart.width} {chart.height}"
        assert root.get("data-hues") == " ".join(map(str, chart.hues)) and root.get("class") == "chart"
        assert (root.get("role"), root.get("aria-label")) == ("group", chart.summary)


def test_a_drawing_holds_nothing_that_runs_or_loads(drawn):
    for svg in drawn[::3]:
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.removeprefix(SVG) in {"svg", "g", "path", "line", "text"}
            for name, value in element.attrib.items():
                assert not name.startswith("on") and "href" not in name and "url(" not in value
                assert "//" not in value


def test_colours_are_those_of_the_style_sheet(drawn):
    known = {*(f"--hue-{n}" for n in range(COLOURS)), "--ink", "--quiet", "--grid", "--surface"}
    assert {*re.findall(r"(--[a-z0-9-]+):", CHART_CSS)} == known
    for svg in drawn[::3]:
        used = {one.get(name) for one in ElementTree.fromstring(svg).iter() for name in ("fill", "stroke")}
        assert used - {None, "none", "transparent"} <= {f"var({name})" for name in known}


def test_only_marks_with_words_speak(drawn):
    for svg, count in ((drawn[0], 2), (drawn[3], 1), (drawn[5], 2)):
        speaking = [one for one in elements(svg)[1:] if one.element.get("role") or one.element.get("aria-label")]
        assert [one.element.get("role") for one in speaking] == ["img"] * count
        assert {one.layers[-1] for one in speaking} <= {"hover_marks", "points_marks"}


def test_one_that_the_library_refuses_says_so_and_the_others_are_drawn(drawn):
    said = sentence(drawn[2])
    assert said.startswith(
        "This chart could not be drawn: Vega-Lite to SVG conversion failed: TypeError"
    ) and said.endswith(WRONG.summary)
    assert "could not be drawn" not in drawn[0] + drawn[3] + drawn[5]


def test_nothing_is_loaded_for_a_drawing(drawn):
    assert "could not be drawn" in drawn[4] and "External data url not allowed" in sentence(drawn[4])


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), "was ended by signal 9"),
        (python("raise SystemExit('<&> no room')"), "<&> no room"),
        (python("import sys; sys.exit(3)"), "ended with status 3"),
        (python("print('[')"), "ended with status 0"),
        (python("import time; time.sleep(60)"), "took more than 0.5 s"),
        (["/nonexistent/python"], "no process to draw could be started (No such file or directory)"),
    ],
)
def test_where_nothing_can_be_drawn_every_chart_says_why_and_what_it_shows(command, why):
    drawn = draw([LINES, POINTS], command=command, timeout_seconds=0.5 if "sleep" in command[-1] else 60)
    for chart, svg in zip((LINES, POINTS), drawn, strict=True):
        root = ElementTree.fromstring(svg)
        text = sentence(svg)
        assert text.startswith("This chart could not be drawn: ") and why in text and text.endswith(chart.summary)
        assert root.get("role") == "img" and why in root.get("aria-label")
        assert (root.get("viewBox"), root.get("class")) == (f"0 0 {chart.width} {chart.height}", "chart")


def test_what_was_drawn_before_the_process_ended_is_kept():
    answers = json.dumps({"svg": "<svg/>"})
    first, second = draw([LINES, BARS], command=python(f"import os; print('{answers}', flush=True); os._exit(1)"))
    assert first == "<svg/>" and "could not be drawn" in second


def test_a_long_excuse_keeps_inside():
    chart = Chart({}, "word " * 500, 440, 240, ())
    (svg,) = draw([chart], command=["/nonexistent"])
    lines = list(ElementTree.fromstring(svg).iter(SVG + "tspan"))
    assert lines[-1].text == "…" and sum(int(line.get("dy")) for line in lines) <= 240
    assert max(len(line.text) for line in lines) * 7 <= 440


def test_no_chart_starts_no_process():
    assert draw([], command=["/nonexistent"]) == []
    assert draw([None, None], command=["/nonexistent"]) == ["", ""]


def test_without_the_library_it_is_named(monkeypatch, tmp_path):
    (tmp_path / "vl_convert.py").write_text("raise ModuleNotFoundError('No module named vl_convert')")
    monkeypatch.syspath_prepend(tmp_path)
    (svg,) = draw([LINES])
    assert "could not be drawn: vl-convert-python cannot be imported (No module named vl_convert)." in sentence(svg)


def test_what_the_library_prints_is_no_drawing(monkeypatch, tmp_path):
    program = "def vegalite_to_svg(*_, **__):\n    print('noise')\n    return '<svg width=\"440\" height=\"240\"/>'\n"
    (tmp_path / "vl_convert.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    (svg,) = draw([LINES])
    assert ElementTree.fromstring(svg).get("aria-label") == LINES.summary


def test_a_drawing_of_another_size_is_refused(monkeypatch, tmp_path):
    (tmp_path / "vl_convert.py").write_text('def vegalite_to_svg(*_, **__): return \'<svg width="9" height="9"/>\'')
    monkeypatch.syspath_prepend(tmp_path)
    (svg,) = draw([LINES])
    assert "it came out 9 by 9 pixels large, not 440 by 240" in sentence(svg)


def loaded(statement):
    program = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return {*subprocess.run(python(program), capture_output=True, text=True, check=True).stdout.split()}


def test_a_page_is_written_without_the_library_in_its_process():
    assert not {"vl_convert", "altair"} & loaded("import perilune.report.run_page")


def test_the_process_that_draws_loads_little():
    heavy = {"pydantic", "torch", "numpy", "rich", "jinja2", "transformers"}
    assert not heavy & loaded("import perilune.report.vega, vl_convert")


def test_figures_are_drawn_group_by_group(drawn):
    bars = horizontal_bars("t", [Row("a", (Track((Part(0, 3.0),), "3"),))])
    one, two, none = Figure("one", "", LINES), Figure("two", "", bars), Figure("none", "", None)
    first, second, third = shown([one, two], [], [none])
    assert [figure.title for figure, _ in first] == ["one", "two"] and second == []
    assert (first[0][1], first[1][1], third[0][1]) == (drawn[0], bars, "")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_the_contrast_that_wcag_asks_for():
    roots = re.findall(r":root\{([^}]*)\}", CHART_CSS)
    assert len(roots) == 2
    for root in roots:
        colours = dict(part.removeprefix("--").split(":") for part in root.rstrip(";").split(";"))
        surface = luminance(colours["surface"])
        contrast = {
            name: (max(luminance(c), surface) + 0.05) / (min(luminance(c), surface) + 0.05)
            for name, c in colours.items()
        }
        assert min(contrast[f"hue-{i}"] for i in range(COLOURS)) >= 3.0
        assert contrast["quiet"] >= 4.5 and contrast["ink"] >= 7.0
