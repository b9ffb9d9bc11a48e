"""The page of highlighted entities: nothing of the text is lost, every entity is marked."""

import random
import re
from html.parser import HTMLParser

import pytest
from page_parts import Page

from hf_ext.tasks.entities.page import highlight, write_entity_page


class Marks(HTMLParser):
    """Reads the text of a highlighted passage back, and where each mark begins and ends."""

    def __init__(self, html):
        super().__init__()
        self.text, self.marks, self.stack = "", [], []
        self.feed(html)
        self.close()
        assert not self.stack

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.stack.append((len(self.text), attributes["data-label"], attributes.get("class") == "open"))

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        start, label, is_open = self.stack.pop()
        self.marks.append((start, len(self.text), label, is_open))


def joined(marks):
    """Entities from marks: an open one goes on where it stops, with the same label."""
    whole = sorted((start, end, label) for start, end, label, is_open in marks if not is_open)
    for start, end, label, _ in sorted((m for m in marks if m[3]), reverse=True):
        rest = next(one for one in whole if one[0] == end and one[2] == label)
        whole.remove(rest)
        whole.append((start, rest[1], label))
    return sorted(whole)


def span(start, end, label):
    return {"start": start, "end": end, "label": label}


@pytest.mark.parametrize(
    "entities",
    [
        [],
        [span(0, 2, "a")],
        [span(0, 8, "a"), span(2, 5, "b"), span(2, 3, "c")],
        [span(0, 3, "a"), span(3, 6, "b")],
        [span(1, 4, "a"), span(1, 4, "b")],
        [span(0, 5, "a"), span(3, 8, "b")],
        [span(0, 4, "a"), span(2, 6, "b"), span(3, 8, "c")],
    ],
    ids=["none", "one", "nested", "adjacent", "same place", "crossing", "crossing twice"],
)
def test_marks_are_the_entities(entities):
    text = '北<京>&"清华大'
    marks = Marks(str(highlight(text, entities)))
    assert marks.text == text
    assert joined(marks.marks) == sorted((e["start"], e["end"], e["label"]) for e in entities)


def test_marks_are_the_entities_of_random_texts():
    rng = random.Random(0)
    for _ in range(200):
        text = "".join(rng.choice("甲乙<>&丙丁") for _ in range(rng.randint(1, 12)))
        entities = {
            (start := rng.randrange(len(text)), rng.randint(start + 1, len(text)), str(number)) for number in range(4)
        }
        marks = Marks(str(highlight(text, [span(*entity) for entity in entities])))
        assert marks.text == text
        assert joined(marks.marks) == sorted(entities)


def test_page_escapes_and_needs_no_network(tmp_path):
    path = tmp_path / "page.html"
    entity = {**span(0, 8, '"><b>'), "score": 0.987}
    write_entity_page(path, [{"text": "<script>", "entities": [entity]}], title="<i>")
    page = path.read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert 'title="0.987"' in page
    assert not re.search(r"https?:|src=|@import", page)


def test_each_label_has_its_own_colour_and_stays_out_of_the_style_sheet(tmp_path):
    path = tmp_path / "page.html"
    labels = ["R&D", 'a"b', "a\\", "x\n] {} body{display:none} y[z=", "b\x0c]", "</style><script>", "人物", "'", 7]
    entities = [span(index, index + 1, label) for index, label in enumerate(labels)]

    styles = []
    for own in (entities, []):
        write_entity_page(path, [{"text": "甲" * len(labels), "entities": own}])
        page = path.read_text(encoding="utf-8")
        styles.append(re.search(r"<style>.*?</style>", page, re.DOTALL)[0])
        hues: dict[str, set[str]] = {}
        for mark, _ in Page(page).all("mark"):
            hues.setdefault(mark["data-label"], set()).add(mark["style"])
        assert hues.keys() == {str(entity["label"]) for entity in own}
        assert all(len(seen) == 1 and re.fullmatch(r"--hue: \d+(\.\d+)?", min(seen)) for seen in hues.values())
        assert len(set(map(min, hues.values()))) == len(own)
    assert styles[0] == styles[1]
    assert "script" not in re.sub(r"&lt;.*?&gt;", "", page)
