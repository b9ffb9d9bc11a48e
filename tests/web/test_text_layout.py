"""Lines of a text: nothing is lost, nothing is wider than the line, what belongs together stays together."""

import random

import pytest

from hf_ext.web.text_layout import character_width, lines_of

ALPHABET = "甲乙，。 ab1\n\u0301\u200b"


@pytest.mark.parametrize("seed", range(30))
def test_lines_have_every_character_once_and_none_is_too_wide(seed):
    random.seed(seed)
    text = "".join(random.choices(ALPHABET, k=random.randrange(80)))
    places = sorted(random.choices(range(len(text) + 1), k=6))
    spans = list(zip(places[::2], places[1::2]))
    lines = lines_of(text, 7, spans)
    assert [line.start for line in lines] == [0, *(line.end for line in lines[:-1])]
    assert lines[-1].end == len(text)
    for line in lines:
        assert line.edges[-1] <= 7
        assert len(line.edges) == line.end - line.start + 1
        assert line.edges[-1] == pytest.approx(sum(map(character_width, text[line.start : line.end])))
        assert "\n" not in text[line.start : line.end - 1]


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("", [], [""]),
        ("甲", [], ["甲"]),
        ("甲乙丙丁戊", [], ["甲乙丙丁", "戊"]),
        ("甲乙丙丁戊", [(3, 5)], ["甲乙丙", "丁戊"]),
        # What fits in no line is broken anywhere.
        ("甲乙丙丁戊己", [(1, 6)], ["甲", "乙丙丁戊", "己"]),
        ("甲乙丙word", [], ["甲乙丙", "word"]),
        ("甲\n乙\n", [], ["甲\n", "乙\n"]),
        ("甲乙丙e\u0301丁", [], ["甲乙丙e\u0301", "丁"]),
    ],
)
def test_where_lines_are_broken(text, spans, expected):
    assert [text[line.start : line.end] for line in lines_of(text, 4, spans)] == expected


def test_places_outside_a_line_are_its_ends():
    line = lines_of("甲乙丙丁戊", 4)[1]
    assert [line.place(position) for position in (0, 4, 5, 9)] == [0, 0, 1, 1]
