"""Relations as arcs: every one is drawn between its places, none over another, and nothing of a text is markup."""

import random
import re

import pytest
from page_parts import Page

from hf_ext.web.arcs import MOST_ARCS, relation_arcs

TEXT = "《长河》的作者是林一舟，由春江出版社于2019年出版。"


def place(text, words):
    start = text.index(words)
    return {"start": start, "end": start + len(words), "text": words}


def relation(text, subject, predicate, thing, slots=()):
    return {
        "predicate": predicate,
        "subject": place(text, subject),
        "object": place(text, thing),
        "slots": [{"name": name, **place(text, words)} for name, words in slots],
        "score": 0.9,
    }


def numbers(path):
    return [float(one) for one in re.findall(r"-?\d+\.?\d*", path)]


def test_an_arc_goes_from_subject_to_object():
    page = Page(relation_arcs(TEXT, [relation(TEXT, "长河", "作者", "林一舟")]))
    assert page.is_whole
    assert page.texts("text", "name") == ["作者"]
    assert page.texts("title") == ["长河 – 作者 – 林一舟"]
    boxes = [(float(own["x"]), float(own["x"]) + float(own["width"])) for own, _ in page.all("rect", "place")]
    ((arc, _),) = page.all("path", "arc")
    ((head, _),) = page.all("path", "head")
    assert boxes[0][0] < numbers(arc["d"])[0] < boxes[0][1]
    # The arrow stands over the object.
    assert boxes[1][0] < numbers(head["d"])[0] + 4 < boxes[1][1]


def test_the_arrow_of_an_object_that_comes_first_is_on_the_left():
    page = Page(relation_arcs(TEXT, [relation(TEXT, "林一舟", "作品", "长河")]))
    first = page.all("rect", "place")[0][0]
    ((head, _),) = page.all("path", "head")
    assert float(first["x"]) < numbers(head["d"])[0] + 4 < float(first["x"]) + float(first["width"])


def test_slots_are_arcs_from_the_object():
    page = Page(relation_arcs(TEXT, [relation(TEXT, "长河", "出版社", "春江出版社", [("时间", "2019年")])]))
    assert page.texts("text", "name") == ["出版社", "时间"]
    assert page.texts("title") == ["长河 – 出版社 – 春江出版社", "长河 – 出版社 – 春江出版社 – 时间 – 2019年"]
    assert len(page.all("g", "slot")) == 1


def test_nothing_of_the_text_is_lost_in_lines():
    text = "甲" * 45 + "乙" * 3 + "\n丙 " + "丁" * 40
    page = Page(relation_arcs(text, [relation(text, "乙乙乙", "到", "丙")]))
    assert "".join(page.texts("text", "words")).replace(" ", "") == text.replace("\n", "").replace(" ", "")
    # An arc over several lines has its name over the first and the last, and one arrow.
    assert page.texts("text", "name") == ["到", "到"]
    assert len(page.all("path", "head")) == 1


@pytest.mark.parametrize("seed", range(8))
def test_no_name_stands_over_another(seed):
    random.seed(seed)
    text = "甲乙丙丁戊己庚辛" * 12
    relations = []
    for number in range(12):
        ends = [sorted(random.sample(range(len(text)), 2)) for _ in range(2)]
        subject, thing = ({"start": start, "end": min(end, start + 4), "text": ""} for start, end in ends)
        relations.append({"predicate": f"关系{number}", "subject": subject, "object": thing, "slots": [], "score": 1.0})
    page = Page(relation_arcs(text, relations))
    assert page.is_whole
    assert {*page.texts("text", "name")} == {f"关系{number}" for number in range(12)}
    places = [
        (float(own["y"]), float(own["x"]) - 6 * len(text), float(own["x"]) + 6 * len(text))
        for own, text in page.all("text", "name")
    ]
    clashes = [
        (one, other)
        for number, one in enumerate(places)
        for other in places[:number]
        if abs(one[0] - other[0]) < 12 and one[1] < other[2] and other[1] < one[2]
    ]
    assert clashes == []
    width, height = numbers(page.all("svg")[0][0]["viewbox"])[2:]
    assert all(0 < y < height and left >= 0 and right <= width for y, left, right in places)


def test_a_relation_of_one_place_with_itself_has_two_feet():
    page = Page(relation_arcs(TEXT, [relation(TEXT, "长河", "同", "长河")]))
    ((arc, _),) = page.all("path", "arc")
    assert arc["d"].count("V") == 2
    assert float(re.search(r"H(\S+?)q", arc["d"])[1]) > numbers(arc["d"])[0]


def test_only_so_many_are_drawn():
    relations = [relation(TEXT, "长河", f"关系{number}", "林一舟") for number in range(MOST_ARCS + 3)]
    assert len(Page(relation_arcs(TEXT, relations)).all("path", "arc")) == MOST_ARCS


@pytest.mark.parametrize("text", ["", "甲"])
def test_a_text_without_relations_is_a_text(text):
    page = Page(relation_arcs(text, []))
    assert "".join(page.texts("text")) == text


def test_nothing_is_markup():
    evil = "<script>alert('1')</script>\"&"
    text = f"甲{evil}乙"
    svg = relation_arcs(text, [relation(text, evil, '"><img src=x onerror=alert(1)>', "乙", [("' onload='a", "甲")])])
    page = Page(svg)
    assert page.is_whole
    assert {tag for tag, _, _ in page.elements} == {"svg", "g", "title", "path", "text", "rect"}
    assert not [name for _, own, _ in page.elements for name in own if name.startswith("on")]
    assert evil in page.texts("text", "words")
