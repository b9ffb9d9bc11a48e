"""The heat map of scores of spans: a cell for each span that may stand, coloured by its score."""

import math
import random

import pytest
import torch
from page_parts import Page

from hf_ext.analysis import ScoreMap
from hf_ext.web.heat_map import MOST_TOKENS, heat_map


def upper(size, value=0.5):
    return [[value if column >= row else math.nan for column in range(size)] for row in range(size)]


def spans(tokens, values, **more):
    table = torch.tensor(values, dtype=torch.float64).reshape(len(tokens), len(tokens))
    return ScoreMap("<person>", tokens, table, "first token", "last token", of_spans=True, **more)


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_cells_are_those_that_have_a_score(size):
    random.seed(size)
    values = upper(size)
    for row in range(size):
        for column in range(row, size):
            values[row][column] = random.random()
    tokens = [f"t{number}" for number in range(size)]
    marked = [(row, column) for row in range(size) for column in range(row, size) if values[row][column] > 0.7]
    page = Page(heat_map(spans(tokens, values, marked=marked)))
    assert page.is_whole
    assert page.texts("text", "row") == page.texts("text", "column") == tokens
    cells = {
        (round((float(own["y"]) - top) / 18), round((float(own["x"]) - left) / 18)): (own, title)
        for left, top in [_first(page)]
        for own, title in page.all("rect")
    }
    assert cells.keys() == {(row, column) for row in range(size) for column in range(row, size)}
    for (row, column), (own, title) in cells.items():
        expected = values[row][column]
        assert float(own["style"].removeprefix("--score: ")) == pytest.approx(expected, abs=6e-4)
        assert title == f"{''.join(tokens[row : column + 1])} · {expected:.3f}"
        assert (own.get("class") == "found") is (expected > 0.7)


def _first(page):
    return min(((float(own["x"]), float(own["y"])) for own, _ in page.all("rect")), default=(0, 0))


def test_large_texts_are_cut():
    size = MOST_TOKENS + 5
    page = Page(heat_map(spans(["甲"] * size, upper(size))))
    assert len(page.texts("text", "row")) == MOST_TOKENS
    assert len(page.all("rect")) == MOST_TOKENS * (MOST_TOKENS + 1) // 2


def test_a_cell_of_a_link_has_two_tokens():
    link = ScoreMap("a", ["甲", "乙"], torch.tensor([[torch.nan, torch.nan], [0.25, torch.nan]]), "subject", "object")
    assert Page(heat_map(link)).texts("title") == ["乙 → 甲 · 0.250"]


def test_colours_go_to_the_largest_number():
    (cell,) = Page(heat_map(spans(["甲"], [[0.25]], largest=0.5))).all("rect")
    assert cell[0]["style"] == "--score: 0.500"
    assert cell[1] == "甲 · 0.250"


def test_nothing_is_markup():
    page = Page(heat_map(spans(["<script>", "\"'&"], upper(2))))
    assert {tag for tag, _, _ in page.elements} == {"svg", "text", "rect", "title"}
    # A name that is too long for the margin is cut; the title has all of it.
    assert page.texts("text", "row") == ["<scrip…", "\"'&"]
    assert page.texts("title")[1] == "<script>\"'& · 0.500"
    assert page.all("svg")[0][0]["aria-label"] == "<person>: first token by row, last token by column"
