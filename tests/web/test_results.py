"""What pipelines find as HTML: all of it is there, nothing of it is markup, whatever the task is."""

import re

import pytest
from page_parts import Page

import hf_ext  # noqa: F401  (registers the pipelines)
from hf_ext.tasks.base.saved_model import predictors
from hf_ext.web.result_page import result_page
from hf_ext.web.results import result_html

EVIL = "<script>alert('1')</script>\"' onload='&amp;"
TEXT = f"甲{EVIL}乙\n丙"


def place(text, words, **more):
    start = text.index(words)
    return {"start": start, "end": start + len(words), "text": words, **more}


def documents(text, words, name):
    """A document of each task, with all that may be in one: what the model finds, and the document."""
    spot = place(text, words)
    relation = {"predicate": name, "subject": spot, "object": spot, "slots": [{"name": name, **spot}], "score": 0.75}
    event = {"type": name, "arguments": [{"role": name, **spot}, {"role": "r", **spot}], "score": 0.75}
    answer = {"answer": words, **spot, "score": 0.75}
    choice = {"choice": words, "index": 1, "score": 0.75}
    return [
        ("entities", {"text": text, "entities": [{**spot, "label": name, "score": 0.75}]}),
        ("relations", {"text": text, "relations": [relation]}),
        ("events", {"text": text, "events": [event, event]}),
        ("classes", {"text": text, "text2": words, "classes": [{"label": name, "score": 0.75}]}),
        ("answers", {"question": name, "context": text, "answers": [answer]}),
        ("answers", {"text": text, "question": name, "choices": [name, words], "answers": [choice]}),
        ("similarity", {"text1": text, "text2": words, "similarity": 0.75}),
        ("paraphrases", {"text": text, "paraphrases": [{"text": words, "similarity": 0.75}]}),
        ("summary", {"text": text, "summary": words}),
        ("reply", {"turns": [text, name], "reply": words}),
        ("reconstruction", {"text": text, "reconstruction": words}),
        ("what else", {"text": text, "what else": {name: words}}),
    ]


def ids(case):
    return case if isinstance(case, str) else ""


def test_every_task_is_here():
    assert {kind.found for kind in predictors().values()} <= {found for found, _ in documents(TEXT, "乙", "b")}


@pytest.mark.parametrize(("found", "document"), documents(TEXT, EVIL, EVIL), ids=ids)
def test_nothing_is_markup(found, document):
    page = Page(result_html(document, found))
    assert page.is_whole
    assert not page.all("script")
    assert not [name for _, own, _ in page.elements for name in own if name.startswith("on")]
    everything = "".join(text for _, _, text in page.elements) + "".join(
        value or "" for _, own, _ in page.elements for value in own.values()
    )
    # Of what is shown as JSON quotes are its own.
    assert (EVIL if found != "what else" else "<script>alert('1')</script>\\\"") in everything


@pytest.mark.parametrize(("found", "document"), documents("甲丁乙\n丙", "丁", "名"), ids=ids)
def test_all_is_shown(found, document):
    page = Page(result_html(document, found))
    shown = "".join(text for _, _, text in page.elements)
    for value in (one for one in document.values() if isinstance(one, str)):
        # JSON writes the end of a line in its way, and an SVG begins another text.
        assert value.replace("\n", "") in shown.replace("\\n", "").replace("\n", "")
    assert "丁" in shown
    assert found in ("summary", "reply", "reconstruction", "what else") or "0.75" in shown


def test_entities_are_marked_and_listed():
    document = {
        "text": "林一舟在春江出版社",
        "entities": [
            {**place("林一舟在春江出版社", "林一舟"), "label": "person", "score": 0.9},
            {**place("林一舟在春江出版社", "春江出版社"), "label": "organization", "score": 0.8},
            {**place("林一舟在春江出版社", "春江"), "label": "place", "score": 0.7},
        ],
    }
    page = Page(result_html(document, "entities"))
    marks = [(own["data-label"], text) for own, text in page.all("mark")]
    assert marks == [("person", "林一舟"), ("organization", "春江出版社"), ("place", "春江")]
    assert page.texts("td")[:4] == ["person", "林一舟", "0–3", "0.900"]
    assert page.texts("p", "hx-count") == ["3 entities"]


@pytest.mark.parametrize(
    ("found", "message"), [("entities", "no entities"), ("relations", "no relations"), ("events", "no events")]
)
def test_nothing_found_is_said(found, message):
    page = Page(result_html({"text": "甲", found: []}, found))
    assert page.texts("p", "hx-count") == [message]
    assert "甲" in "".join(text for _, _, text in page.elements)


def test_no_answer_is_said_and_marks_nothing():
    document = {"question": "谁", "context": "甲乙", "answers": [{"answer": "", "start": 0, "end": 0, "score": 0.9}]}
    page = Page(result_html(document, "answers"))
    assert not page.all("mark")
    assert page.texts("td", "name") == ["1. no answer"]


def test_the_chosen_is_told_from_the_others():
    answers = [{"choice": "丙", "index": 2, "score": 0.6}, {"choice": "甲", "index": 0, "score": 0.3}]
    page = Page(result_html({"text": "问", "choices": ["甲", "乙", "丙"], "answers": answers}, "answers"))
    assert page.texts("li") == ["甲 0.300", "乙", "丙 0.600"]
    assert page.texts("li", "chosen") == ["丙 0.600"]


@pytest.mark.parametrize(("score", "width"), [(-0.3, "0.0"), (0.256, "25.6"), (1.0, "100.0"), (1.0000001, "100.0")])
def test_bars_are_as_long_as_scores(score, width):
    page = Page(result_html({"text1": "甲", "text2": "乙", "similarity": score}, "similarity"))
    assert [own["style"] for own, _ in page.all("div") if "style" in own] == [f"width: {width}%"]
    assert page.texts("td")[-1] == f"{score:.3f}"


def test_page_has_every_document_and_needs_no_network():
    html = result_page([{"text": f"甲{number}", "entities": []} for number in range(3)], "entities", "<b>{x}</b>")
    page = Page(html)
    assert page.is_whole
    assert page.texts("title") == page.texts("h1") == ["<b>{x}</b>"]
    assert page.texts("div", "hx-text") == ["甲0", "甲1", "甲2"]
    assert not re.search(r"https?:|src=|@import|url\(", html)
