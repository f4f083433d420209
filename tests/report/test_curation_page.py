import html
import re

import pytest
from curations import EVIL, counts, dropped, problem, write_curation
from test_run_page import Page

from perilune.errors import RunFolderError
from perilune.recipe.curation import DuplicatesConfig
from perilune.report.curation_page import write_curation_report

pytestmark = pytest.mark.usefixtures("sketched")


def page_of(folder):
    path = write_curation_report(folder)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The page of a finished curation, drawn as users see it."""
    return page_of(write_curation(tmp_path_factory.mktemp("curation")))


def test_every_chart_of_a_curation_is_drawn_and_told(finished):
    assert "could not be drawn" not in finished.text
    labels = [attributes.get("aria-label") for _, attributes in finished.elements]
    assert "right answers 4; stay: 0; dropped: 200" in labels and "right guesses 2; problems: 30" in labels


def test_a_finished_curation_is_shown_whole(finished):
    page = finished
    for words in (
        "a-model · finished",
        "Came in 1,000",
        "Stay 600 60% of them",
        "Largest cut 200 by difficulty",
        "heldout (240)",
        "multiple choice 60 (6%)",
        "930 (93%)",
        "multiple choice: 60 (6%) The answer is one of a few that the question lists. 3 of them:",
        "guessable: 100 (11.1%) The model guessed the answer without reasoning. No examples were written.",
        "100 of 900 problems (11.1%) were guessed without reasoning at least once in 2 attempts",
        "mathematics/arithmetic 700 (70%) 450 (75%)",
        "trivial 200 (25%) 0 (0%)",
        "Easy: 10",
        "Hard: 10",
        "note of difficulty",
    ):
        assert words in page.text
    assert "not finished" not in page.text


def test_matches_stand_side_by_side(finished):
    page = finished
    assert page.text.count("matches p/3 How much is 3 plus 1?") == 3
    assert "similarity 0.91" in page.text and page.count("div", **{"class": "sides"}) == 3


def test_examples_are_from_all_over(finished):
    text = finished.text
    assert re.findall(r"option (\d+)", text) == ["100", "129", "159"]


def test_settings_are_told_as_the_recipe_has_them(tmp_path):
    found = counts()
    found["steps"].append({"name": "contamination", "entered": 600, "kept": 600})
    folder = write_curation(tmp_path, found)
    assert "contamination.sets none" in page_of(folder).text
    default = f"duplicates.threshold {DuplicatesConfig().threshold} "
    meaning = DuplicatesConfig.model_fields["threshold"].description
    assert f"{default}{meaning}" in page_of(folder).text
    sets = '[[curation.contamination.sets]]\nname = "math500"\n'
    (tmp_path / "recipe.toml").write_text(f"[curation.duplicates]\nthreshold = 0.85\n{sets}")
    text = page_of(folder).text
    assert f"duplicates.threshold 0.85 {meaning}" in text and "duplicates.ngram 5" in text
    assert "contamination.sets math500" in text
    (tmp_path / "recipe.toml").write_text("[curation")
    assert default in page_of(folder).text


def test_the_page_needs_nothing_else_and_may_load_nothing(finished):
    page = finished
    assert page.count("link") == page.count("img") == page.count("iframe") == 0
    for _, attributes in page.elements:
        assert "src" not in attributes and attributes.get("href", "#").startswith("#")
    (policy,) = [a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    (script,) = [a for t, a in page.elements if t == "script"]
    assert policy.startswith("default-src 'none'") and f"script-src 'nonce-{script['nonce']}'" in policy


def test_every_fragment_link_has_its_target(finished):
    page = finished
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert {a["href"][1:] for t, a in page.elements if t == "a"} <= set(ids) and len(ids) == len(set(ids))


def test_what_files_say_cannot_become_markup(tmp_path):
    found = counts() | {"name": EVIL, "model": EVIL, "contamination_sets": {EVIL: 1}, "tags": {"before": {EVIL: 3}}}
    found["steps"][0] |= {"name": EVIL, "note": EVIL, "reasons": {EVIL: 70}}
    found["difficulty"]["bands"] = {"before": {EVIL: 3}}
    hostile = problem(1, question=EVIL, answer=EVIL, tags=[EVIL], band=EVIL, id=EVIL)
    gone = hostile | {"step": EVIL, "reason": EVIL, "detail": EVIL, "match": EVIL, "match_question": EVIL}
    folder = write_curation(tmp_path, found, [hostile], [gone, gone | {"match_question": ""}])
    page = page_of(folder)
    assert page.count("script") == 1 and page.count("img") == 0
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert sum(EVIL in word for word in page.words) > 12
    assert html.escape("<script>alert('x')", quote=False).split("'")[0] in (folder / "report.html").read_text()


def test_lone_surrogates_do_not_stop_the_report(tmp_path):
    gone = dropped(2, "forms", "proof", detail="odd \udfff detail")
    text = page_of(write_curation(tmp_path, kept=[problem(1, question="lone \ud800 surrogate")], gone=[gone])).text
    assert "lone ? surrogate" in text and "odd ? detail" in text


@pytest.mark.parametrize(
    ("running", "words"),
    [({"name": "guess", "done": 1200, "total": 4000}, "not finished: guess 1,200 of 4,000"), (None, "forms is done")],
)
def test_an_unfinished_curation_has_a_report(tmp_path, running, words):
    found = {"name": "demo", "finished": False, "steps": counts()["steps"][:1], "running": running}
    folder = write_curation(tmp_path, found)
    (folder / "problems.jsonl").unlink()
    page = page_of(folder)
    assert words in page.text and "Stay 930" in page.text
    assert "Before and after" not in page.text and "What stays" not in page.text


def test_a_curation_that_has_done_nothing_has_a_report(tmp_path):
    assert "No step is done yet" in page_of(write_curation(tmp_path, {"steps": []}, [], [])).text


def test_nothing_that_stays_is_told(tmp_path):
    found = counts()
    found["steps"] = [{"name": "forms", "entered": 3, "kept": 0, "reasons": {"proof": 3}}]
    page = page_of(write_curation(tmp_path, found, [], []))
    assert "Nothing stays." in page.text and "Stay 0 0% of them" in page.text


def test_an_empty_pile_has_a_report(tmp_path):
    found = {"finished": True, "steps": [{"name": "forms", "entered": 0, "kept": 0, "reasons": {}}]}
    assert "Came in 0" in page_of(write_curation(tmp_path, found, [], [])).text


def test_long_texts_are_cut_and_can_be_scrolled_by_keyboard(tmp_path):
    page = page_of(write_curation(tmp_path, kept=[problem(1, question="word " * 1000)]))
    assert "… (3,800 more characters)" in page.text
    assert page.count("div", tabindex="0", **{"aria-label": "Question"}) == 1


def test_many_tags_stay_readable(tmp_path):
    tags = {f"general/topic {number:03}": 200 - number for number in range(100)}
    text = page_of(write_curation(tmp_path, counts() | {"tags": {"before": tags, "after": tags}})).text
    assert "general/topic 016" in text and "general/topic 017" not in text and "83 others" in text


def test_a_folder_of_no_curation_is_told(tmp_path):
    with pytest.raises(RunFolderError, match="is no curation folder"):
        write_curation_report(tmp_path)
