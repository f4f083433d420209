import html
import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from drawings import spoken, words

from perilune.errors import RunFolderError
from perilune.report.run_page import summary_picture, write_report
from perilune.run.metrics import MetricsLog

pytestmark = pytest.mark.usefixtures("sketched")
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """Elements and text of a page; fails on a tag that is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag, **wanted):
        return sum(t == tag and all(a.get(k) == v for k, v in wanted.items()) for t, a in self.elements)


def page_of(folder):
    path = write_report(folder)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(finished_run):
    """The page of a finished run, drawn as users see it."""
    return page_of(finished_run)


def test_a_finished_run_is_shown_whole(finished):
    page = finished
    for told in (
        "Base model",
        "After SFT",
        "After RL",
        "10 of 10",
        "finished",
        "pass@4",
        "two steps",
        "Iteration 10",
    ):
        assert told in page.text
    assert "not finished" not in page.text
    assert page.count("figure") == page.count("svg", **{"class": "chart"}) == 18
    assert {"policy version 11 · 64 tokens · cut", "policy version 12 · 21 tokens · ended"} <= set(page.words)
    assert "smollm2-135m-instruct" in page.text and "max_response_tokens = " in page.text


def test_every_chart_of_a_run_is_drawn_and_told(finished, finished_run):
    assert "could not be drawn" not in finished.text
    text = (finished_run / "report.html").read_text(encoding="utf-8")
    reward, *others = re.findall(r"<svg [^>]*class=\"chart\".*?</svg>", text, flags=re.S)
    assert words(reward, "axis-title") == ["iteration"]
    assert [label.partition(":")[0] for label in spoken(reward)] == [f"iteration {n}; reward" for n in range(1, 11)]
    assert len(others) == 17 and all(spoken(svg) for svg in others)


def test_where_nothing_can_be_drawn_the_page_is_written_and_says_why(make_run, monkeypatch, tmp_path):
    (tmp_path / "vl_convert.py").write_text("raise ImportError('it is not there')")
    monkeypatch.syspath_prepend(tmp_path)
    page = page_of(make_run())
    why = "This chart could not be drawn: vl-convert-python cannot be imported (it is not there)."
    assert page.text.count(why) == page.count("figure") == 18
    assert re.search(re.escape(why) + r" reward: reward from 0\.\d+ to 0\.\d+", page.text)
    assert "Base model 3.8%" in page.text


def test_the_page_needs_nothing_else_and_may_load_nothing(finished):
    page = finished
    assert page.count("link") == page.count("img") == page.count("iframe") == 0
    for _, attributes in page.elements:
        assert "src" not in attributes and attributes.get("href", "#").startswith("#")
    (policy,) = [a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    (script,) = [a for t, a in page.elements if t == "script"]
    assert f"script-src 'nonce-{script['nonce']}'" in policy


def test_what_a_model_wrote_cannot_become_markup(finished, finished_run, evil):
    folder, page = finished_run, finished
    assert page.count("script") == 1 and page.count("img") == 0
    assert any(evil in word for word in page.words)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert html.escape("<script>alert('x')", quote=False).split("'")[0] in (folder / "report.html").read_text()


def test_the_nonce_is_new_each_time(make_run):
    folder = make_run(iterations=1)
    nonces = [next(a["nonce"] for t, a in page_of(folder).elements if t == "script") for _ in range(2)]
    assert nonces[0] != nonces[1]


def test_every_fragment_link_has_its_target(finished):
    page = finished
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {a["href"][1:] for t, a in page.elements if t == "a"} <= ids


@pytest.mark.parametrize(
    ("options", "told", "missing"),
    [
        ({"stages": ("sft",)}, "After SFT", "Reinforcement learning"),
        ({"stages": ("rl",), "base": False}, "Reinforcement learning", "Supervised fine-tuning"),
        ({"iterations": 3, "planned": 8}, "not finished: iteration 3 of 8", "After RL"),
        ({"iterations": 0, "planned": 8}, "not finished: SFT step 40", "After RL"),
        ({"iterations": 1}, "1 of 1", "Each bar"),
        ({"stages": ("rl",), "iterations": 250}, "The first 50 iterations are left out", "Supervised fine-tuning"),
    ],
)
def test_runs_of_every_shape_have_a_report(make_run, options, told, missing):
    page = page_of(make_run(**options))
    assert told in page.text and missing not in page.text


def test_a_run_that_has_measured_nothing_has_a_report(make_run):
    folder = make_run(stages=("rl",), base=False, iterations=0, planned=5)
    assert "Nothing has been measured yet" in page_of(folder).text


def test_a_long_run_shows_samples_from_all_over_it(make_run):
    page = page_of(make_run(stages=("rl",), iterations=30))
    shown = [int(number) for number in re.findall(r"Iteration (\d+)", page.text)]
    assert len(shown) == 6 and shown[0] == 30 and shown[-1] == 1 and shown == sorted(shown, reverse=True)


def test_lone_surrogates_do_not_stop_the_report(make_run):
    folder = make_run(iterations=1)
    sample = {
        "iteration": 0,
        "problem": "p",
        "question": "q",
        "answer": "a",
        "verdict": "right",
        "score": 1,
        "stop": "x",
    }
    with (folder / "samples.jsonl").open("a") as file:
        segment = {"version": 0, "text": "lone \ud800 surrogate", "tokens": 1, "stop": "ended"}
        file.write(json.dumps({**sample, "segments": [segment]}) + "\n")
    assert "lone ? surrogate" in page_of(folder).text


def test_nothing_graded_is_a_dash(tmp_path):
    (tmp_path / "recipe.toml").write_text("name = 'x'\nstages = ['rl']\n")
    summary = {"accuracy": None, "accuracy_interval": [0, 1], "mean_tokens": 3.0, "problems": 2, "errors": 2}
    with MetricsLog(tmp_path) as log:
        log.write("evaluation", 0, {"name": "base", "summary": summary})
    assert "Base model –" in page_of(tmp_path).text


def test_skipped_steps_of_both_stages_are_counted(make_run):
    folder = make_run(iterations=2)
    assert "Steps skipped" not in page_of(folder).text
    with MetricsLog(folder) as log:
        log.write("sft_step", 1, {"loss": math.nan, "learning_rate": 1e-5, "steps_skipped": 1})
        log.write("iteration", 2, {"steps_skipped": 2.0})
    assert "Steps skipped 3 loss or gradient was not finite" in page_of(folder).text


def test_a_folder_of_no_run_is_told(tmp_path):
    with pytest.raises(RunFolderError, match="is no run folder"):
        write_report(tmp_path)


@pytest.fixture(scope="module")
def summary(finished_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("summary") / "docs" / "run.svg"
    summary_picture(finished_run, path)
    return path.read_text(encoding="utf-8")


def test_the_picture_is_one_svg_with_its_own_style(summary):
    titles = ("Reward", "Held-out accuracy", "Response length (tokens)")
    assert [word for word in words(summary) if word in titles] == [*titles]
    assert "prefers-color-scheme" in summary and "could not be drawn" not in summary
    root = ElementTree.fromstring(summary)
    assert root.get("aria-label") == "quickstart: Reward, Held-out accuracy, Response length (tokens)"
    assert sum(1 for _ in root.iter("{http://www.w3.org/2000/svg}path")) >= 3


def test_the_panels_of_the_picture_lie_beside_each_other(summary):
    panels = ElementTree.fromstring(summary).findall("{http://www.w3.org/2000/svg}svg")
    places = [[float(panel.get(name)) for name in ("x", "width")] for panel in panels]
    assert [x for x, _ in places] == [0, places[0][1], places[0][1] + places[1][1]]


def test_the_picture_of_a_run_without_rl_holds_what_there_is(make_run, tmp_path):
    summary_picture(make_run(stages=("sft",)), tmp_path / "run.svg")
    assert "Held-out accuracy" in words((tmp_path / "run.svg").read_text(encoding="utf-8"))


def test_the_picture_of_a_run_that_has_measured_nothing_is_empty(make_run, tmp_path):
    summary_picture(make_run(stages=("rl",), base=False, iterations=0, planned=5), tmp_path / "run.svg")
    assert words((tmp_path / "run.svg").read_text(encoding="utf-8")) == []
