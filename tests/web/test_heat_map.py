"""The heat map of scores of spans: a cell for each span that may stand, coloured by its score."""

import math
import random

import pytest
from page_parts import Page

from hf_ext.web.heat_map import MOST_TOKENS, heat_map, probability


def upper(size, value=0.0):
    return [[value if column >= row else -math.inf for column in range(size)] for row in range(size)]


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_cells_are_those_that_have_a_score(size):
    random.seed(size)
    scores = upper(size)
    for row in range(size):
        for column in range(row, size):
            scores[row][column] = random.uniform(-5, 5)
    tokens = [f"t{number}" for number in range(size)]
    page = Page(heat_map(tokens, scores, threshold=0.7))
    assert page.is_whole
    assert page.texts("text", "row") == page.texts("text", "column") == tokens
    cells = {
        (round((float(own["y"]) - top) / 18), round((float(own["x"]) - left) / 18)): (own, title)
        for left, top in [_first(page)]
        for own, title in page.all("rect")
    }
    assert cells.keys() == {(row, column) for row in range(size) for column in range(row, size)}
    for (row, column), (own, title) in cells.items():
        expected = 1 / (1 + math.exp(-scores[row][column]))
        assert float(own["style"].removeprefix("--score: ")) == pytest.approx(expected, abs=6e-4)
        assert title.startswith("".join(tokens[row : column + 1]) + " · ")
        assert (own.get("class") == "found") is (expected > 0.7)


def _first(page):
    return min(((float(own["x"]), float(own["y"])) for own, _ in page.all("rect")), default=(0, 0))


def test_large_texts_are_cut():
    size = MOST_TOKENS + 5
    page = Page(heat_map(["甲"] * size, upper(size)))
    assert len(page.texts("text", "row")) == MOST_TOKENS
    assert len(page.all("rect")) == MOST_TOKENS * (MOST_TOKENS + 1) // 2


def test_scores_of_other_tokens_are_refused():
    with pytest.raises(ValueError, match="scores must have a row and a column for each of 2 tokens, got 3 rows"):
        heat_map(["甲", "乙"], upper(3))


@pytest.mark.parametrize(("score", "expected"), [(0.0, 0.5), (1e4, 1.0), (-1e4, 0.0), (2.0, 0.8807970779778823)])
def test_probability(score, expected):
    assert probability(score) == pytest.approx(expected)


def test_nothing_is_markup():
    page = Page(heat_map(["<script>", "\"'&"], upper(2)))
    assert {tag for tag, _, _ in page.elements} == {"svg", "text", "rect", "title"}
    # A name that is too long for the margin is cut; the title has all of it.
    assert page.texts("text", "row") == ["<scrip…", "\"'&"]
    assert page.texts("title")[1].startswith("<script>\"'& · 0.500")
