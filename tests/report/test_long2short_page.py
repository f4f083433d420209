import json
from xml.etree import ElementTree

import pytest
from drawings import spoken, words
from scored import answers
from test_run_page import Page

from perilune.errors import RunFolderError
from perilune.evaluation.tradeoff import told_order, trade_off
from perilune.report.long2short_page import long2short_lines, write_long2short_report

pytestmark = pytest.mark.usefixtures("sketched")
EVIL = "</svg></pre><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""
LONG = "+" * 60 + "-" * 40
MEASURED = {
    "long": (LONG, [100, 140] * 50),
    "short": ("+" * 20 + "-" * 80, [30, 50] * 50),
    "merge": ("+" * 40 + "-" * 59 + "!", [60, 64] * 50),
    "rl": ("+" * 59 + "-" * 41, [70, 74] * 50),
}


def model(name, point=None, **values):
    found = {"name": name, "title": f"title of {name}", "folder": f"models/{name}", "from": "long", "seconds": 90.0}
    found |= {"facts": [["steps", "40"]]} | ({} if point is None else {"point": point.to_dict()})
    return found | ({"from": None} if name in ("long", "short") else {}) | values


def results(**values):
    points = trade_off({name: answers(*found) for name, found in MEASURED.items()}, "long")
    counts = {"problems": 200, "responses": 1600, "right": 700, "without_right": 35, "chosen": 165, "pairs": 312}
    candidates = [
        {"name": "long", "accuracy": 0.6, "mean_tokens": 120.0, "picked": False},
        {"name": "iteration-5", "accuracy": 0.59, "mean_tokens": 88.0, "picked": True},
    ]
    found = {
        "name": "demo",
        "finished": True,
        "reference": "long",
        "models": [model(point.name, point) for point in points],
        "sampling": {"long": counts | {"mean_tokens": 104.25}},
        "start": {"rule": "shortest_within", "told": "RL starts from iteration-5", "candidates": candidates},
        "settings": {"problems": 100, "max_response_tokens": 160, "samples": 0, "seed": 0},
        "orders": told_order(points),
    }
    return found | values


def example(text="So it is 47."):
    return {
        "question": "How many apples?",
        "answer": "47",
        "responses": [
            {"model": "long", "text": text, "tokens": 120, "verdict": "right"},
            {"model": "short", "text": "46", "tokens": 30, "verdict": "wrong"},
        ],
    }


def written(folder, found, examples=None):
    (folder / "results.json").write_text(json.dumps(found), encoding="utf-8")
    if examples is not None:
        (folder / "examples.json").write_text(json.dumps(examples), encoding="utf-8")
    path = write_long2short_report(folder)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(page, picture) of an outcome, drawn as users see them."""
    folder = tmp_path_factory.mktemp("long2short")
    return written(folder, results(), [example()]), (folder / "tradeoff.svg").read_text(encoding="utf-8")


def test_an_outcome_is_shown_whole(finished):
    page, _ = finished
    for told in (
        "demo: from long thinking to short answers finished",
        "Models 4 of 4 measured",
        "Largest cut within 2 points −40% of the tokens by rl; points −1 (",
        "Compared with 60% accuracy of long (95 %: 50.2% to 69.1%), with 120 tokens a response",
        "On the front 4 short, merge, rl, long",
        "Held-out problems 100 greedy decoding, at most 160 tokens a response",
        "rl title of rl long 59% 49.2% to 68.1% −1",
        "1 of merge",
        "problems without a right response 35",
        "mean tokens 104",
        "RL starts from iteration-5",
        "iteration-5 59% 88 yes",
        "Fewest tokens first, with the change against the reference: short (−66.7%), merge (−48.3%), rl (−40%).",
        "rl 72 −40% 59% −1 1,198 −9.3% 94.5% +0.5 3,263 −22.4% 60.6% −2.5",
        "merge+shortest – – 902 −31.7% 90.1% −3.9",
        "The paper's figures, not ours: MATH500",
        "long 120 tokens right So it is 47.",
        "short 30 tokens wrong 46",
    ):
        assert told in page.text, told
    assert page.count("svg") == 2


def test_both_charts_are_drawn_and_told(finished):
    page, _ = finished
    assert "could not be drawn" not in page.text
    labels = [attributes.get("aria-label") for _, attributes in page.elements]
    assert "short, on the front: 20% (13.3% to 28.9%) accuracy, 40 (38 to 42) tokens a response" in labels
    assert "rl, on the front: 94.5% accuracy, 1198 tokens a response" in labels


def test_a_method_that_loses_no_accuracy_is_needed_for_the_headline(tmp_path):
    found = results()
    found["models"] = [one for one in found["models"] if one["name"] != "rl"]
    text = written(tmp_path, found).text
    assert "Largest cut within 2 points none every method that saves tokens loses more than 2 points" in text


def test_the_short_model_is_no_method(tmp_path):
    found = results()
    (short,) = [one for one in found["models"] if one["name"] == "short"]
    short["point"]["accuracy_change"] = 0.1
    assert "−40% of the tokens by rl" in written(tmp_path, found).text


def test_models_that_are_not_measured_wait(tmp_path):
    found = results(finished=False, start=None, sampling={}, orders=[])
    found["models"].append(model("dpo+rl", seconds=None))
    page = written(tmp_path, found)
    assert "not finished: 4 of 5 models are measured" in page.text
    assert "dpo+rl title of dpo+rl long waiting: not measured yet –" in page.text
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert ids == {"tradeoff", "made", "order", "tip"}


def test_nothing_measured_yet_has_a_page_and_a_picture(tmp_path):
    page = written(tmp_path, results(finished=False, models=[model("long"), model("rl")], orders=[]))
    assert "No model is measured yet" in page.text and "0 of 2 models" in page.text
    words = "".join(ElementTree.parse(tmp_path / "tradeoff.svg").getroot().itertext())
    assert "no model is measured yet" in words


def test_the_reference_alone_has_a_page(tmp_path):
    page = written(tmp_path, results(models=results()["models"][:1], orders=[]))
    assert "Models 1 of 1 measured" in page.text and "Largest cut" not in page.text


def test_figures_that_are_unknown_are_dashes(tmp_path):
    points = trade_off({"long": answers("+", 9), "rl": answers("!", 5)}, "long")
    found = results(models=[model(point.name, point) for point in points])
    assert (
        "rl title of rl long – 0% to 100% – −100 to +100 5 −44.4% yes".replace(" yes", "")
        in written(tmp_path, found).text
    )
    assert long2short_lines(found)[2].split() == ["rl", "–", "–", "(−100", "to", "+100)", "5", "−44.4%"]


def test_every_fragment_link_has_its_target(finished):
    page, _ = finished
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = {a["href"][1:] for t, a in page.elements if t == "a"}
    assert links <= ids and len(links) == 6


def test_the_page_may_load_nothing(finished):
    page, _ = finished
    assert page.count("link") == page.count("img") == page.count("iframe") == 0
    assert all("src" not in attributes for _, attributes in page.elements)
    (policy,) = [a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """(page, picture), drawn as users see them, where every word is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    found = results(name=EVIL, orders=[EVIL], sampling={EVIL: {EVIL: 3}}, settings={"max_response_tokens": EVIL})
    found["models"][1] |= {"name": EVIL, "title": EVIL, "folder": EVIL, "from": EVIL, "facts": [[EVIL, EVIL]]}
    found["models"][1]["point"]["name"] = EVIL
    found["start"] = {"rule": EVIL, "told": EVIL, "candidates": [found["start"]["candidates"][0] | {"name": EVIL}]}
    answer = {"model": EVIL, "text": EVIL + "\ud800", "tokens": 1, "verdict": EVIL}
    page = written(folder, found, [{"question": EVIL, "answer": EVIL, "responses": [answer]}])
    return page, (folder / "tradeoff.svg").read_text(encoding="utf-8")


def test_what_models_and_recipes_say_cannot_become_markup(hostile):
    page, picture = hostile
    assert page.count("script") == 1 and page.count("img") == 0
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert sum(EVIL in word for word in page.words) > 12
    tags = {e.tag.rpartition("}")[2] for e in ElementTree.fromstring(picture).iter()}
    assert tags == {"svg", "style", "rect", "text", "line", "path", "g"}
    assert "could not be drawn" not in page.text and any(EVIL in label for label in spoken(picture))


def test_the_picture_is_one_svg_with_its_own_style(finished):
    _, text = finished
    assert {"demo: accuracy and tokens of each model", "long", "short", "merge", "rl"} <= set(words(text))
    assert "filled: on the front" in words(text)[-1] and len(spoken(text)) == 5
    assert "prefers-color-scheme" in text


def test_long_answers_are_cut(tmp_path):
    assert "… (1,000 more characters)" in written(tmp_path, results(), [example("x" * 5000)]).text


@pytest.mark.parametrize("text", ['[{"question"', "{}", "[1]", '[{"question": "q"}]'])
def test_the_page_can_do_without_examples(tmp_path, text):
    (tmp_path / "examples.json").write_text(text)
    assert "answered by each" not in written(tmp_path, results()).text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "holds no outcome of long2short"),
        ('{"name"', "is no JSON"),
        ("[]", "is no outcome of long2short"),
        ('{"name": "x", "finished": true, "reference": "long"}', "KeyError: 'models'"),
        ('{"name": "x", "finished": 1, "reference": "l", "models": [{"name": "l", "point": {"name": 1}}]}', "KeyError"),
    ],
)
def test_a_folder_of_no_outcome_is_told(tmp_path, text, words):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(RunFolderError, match=words):
        write_long2short_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_table_as_lines_is_aligned_and_narrow():
    found = results()
    found["models"].append(model("merge+shortest+dpo+rl and more"))
    lines = long2short_lines(found)
    assert lines[0].split("  ")[0] == "model" and lines[0].endswith("front")
    squeezed = [" ".join(line.split()) for line in lines]
    assert squeezed[4] == "rl 59% (49 to 68) −1 (−4 to +2) 72 (72 to 72) −40% (−42 to −38) yes"
    assert squeezed[1] == "long 60% (50 to 69) 120 (116 to 124) yes"
    assert lines[5].split() == ["merge+shortest+dpo+…", "waiting"]
    columns = [lines[0].index(name) for name in ("accuracy", "points", "tokens", "change", "front")]
    assert all(line[at - 1] == " " for line in lines[:5] for at in columns) and max(map(len, lines)) <= 110
    assert lines[4][columns[1] :].startswith("−1 (") and lines[4][columns[2] :].startswith("72 (")
