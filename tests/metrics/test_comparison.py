"""What became of items, beside a search over all ways to pair them, and beside the scores of exact spans."""

import random
from collections import Counter
from itertools import permutations

import pytest

from hf_ext.metrics import span_scores
from hf_ext.metrics.comparison import KINDS, Item, Outcome, overlap, pair_items


def item(start, end, label, **more):
    return Item(label, (start, end), "x" * (end - start), (("", start, end),), **more)


def relation(predicate, subject, object_, slots=()):
    spans = (("subject", *subject), ("object", *object_))
    return Item(predicate, (subject, object_, frozenset(slots)), "x", spans)


@pytest.mark.parametrize(
    ("true", "found", "expected"),
    [
        ([], [], []),
        ([item(0, 2, "a")], [item(0, 2, "a", score=0.5)], ["right"]),
        ([item(0, 2, "a")], [item(0, 2, "b")], ["label"]),
        ([item(0, 2, "a")], [item(1, 3, "a")], ["cut"]),
        ([item(0, 2, "a")], [item(1, 3, "b")], ["both"]),
        ([item(0, 2, "a")], [item(2, 3, "a")], ["missed", "invented"]),
        ([item(0, 2, "a")], [], ["missed"]),
        ([], [item(0, 2, "a")], ["invented"]),
        # Once each, however often it is listed.
        ([item(0, 2, "a")] * 2, [item(0, 2, "a")] * 3, ["right"]),
        # The place goes before the label of what overlaps, and the label before how much it does.
        ([item(0, 4, "a")], [item(0, 3, "a"), item(0, 4, "b")], ["invented", "label"]),
        ([item(0, 4, "a")], [item(0, 3, "b"), item(3, 5, "a")], ["invented", "cut"]),
        ([item(0, 4, "a")], [item(0, 1, "a"), item(0, 3, "a")], ["invented", "cut"]),
        # What is right does not stand for anything else.
        ([item(0, 4, "a"), item(0, 2, "a")], [item(0, 2, "a")], ["right", "missed"]),
        # Of the roles of one place, that of the same label.
        ([item(0, 2, "a", role="r")], [item(0, 2, "b"), item(0, 2, "a", role="s")], ["label", "invented"]),
        ([item(0, 2, "a", role="r")], [item(0, 2, "a", role="r")], ["right"]),
        # Both parts have to overlap.
        ([relation("p", (0, 2), (4, 6))], [relation("p", (0, 2), (5, 7))], ["cut"]),
        ([relation("p", (0, 2), (4, 6))], [relation("p", (0, 2), (7, 9))], ["missed", "invented"]),
        ([relation("p", (0, 2), (4, 6))], [relation("p", (4, 6), (0, 2))], ["missed", "invented"]),
        ([relation("p", (0, 2), (4, 6), ["s"])], [relation("p", (0, 2), (4, 6))], ["cut"]),
        ([relation("p", (0, 2), (4, 6))], [relation("q", (0, 2), (4, 6))], ["label"]),
        # Classes have no place in the text: one is taken for another, or is one of several.
        ([Item("a")], [Item("b")], ["label"]),
        ([Item("a", "a")], [Item("b", "b")], ["missed", "invented"]),
    ],
)
def test_kinds(true, found, expected):
    assert sorted(one.kind for one in pair_items(true, found)) == sorted(expected)


def test_outcomes_stand_in_the_order_of_the_text():
    first, second, third = item(0, 2, "a"), item(4, 6, "b"), item(8, 9, "a")
    assert pair_items([third, first], [second, item(0, 3, "a")]) == [
        Outcome("cut", first, item(0, 3, "a")),
        Outcome("invented", None, second),
        Outcome("missed", third, None),
    ]


def test_the_role_that_differs_alone_is_the_one_taken():
    pairs = pair_items([item(0, 2, "a", role="r")], [item(0, 2, "b"), item(0, 2, "a", role="s")])
    (wrong,) = [one for one in pairs if one.kind == "label"]
    assert (wrong.true.name, wrong.found.name) == ("a|r", "a|s")


def drawn(seed):
    rng = random.Random(seed)

    def side():
        starts = (rng.randrange(8) for _ in range(rng.randrange(5)))
        return [item(start, start + rng.randint(1, 4), rng.choice("ab")) for start in starts]

    return side(), side()


@pytest.mark.parametrize("seed", range(200))
def test_every_item_is_in_one_outcome_and_counts_are_those_of_exact_spans(seed):
    true, found = drawn(seed)
    outcomes = pair_items(true, found)
    for side, items in (("true", true), ("found", found)):
        seen = Counter(getattr(one, side) for one in outcomes if getattr(one, side))
        assert seen == Counter(set(items))
    kinds = Counter(one.kind for one in outcomes)
    assert set(kinds) <= set(KINDS)

    def spans(items):
        return [[(one.label, *one.place) for one in items]]

    scores = span_scores(spans(found), spans(true))
    expected = kinds.total() - kinds["invented"]
    predicted = kinds.total() - kinds["missed"]
    assert expected == scores["support"]
    assert kinds["right"] == round(scores["recall"] * expected) == round(scores["precision"] * predicted)


def brute_rank(pairs):
    """What is right, then the most pairs at one place, by all ways to pair."""
    right = sum(a.name == b.name and a.place == b.place for a, b in pairs)
    return right, sum(a.place == b.place for a, b in pairs)


@pytest.mark.parametrize("seed", range(100))
def test_no_way_to_pair_has_more_right_and_then_more_at_their_places(seed):
    true, found = (list(dict.fromkeys(side)) for side in drawn(seed))
    short, long = sorted((true, found), key=len)
    best = max(brute_rank(list(zip(short, chosen))) for chosen in permutations(long, len(short)))
    kinds = Counter(one.kind for one in pair_items(true, found))
    assert (kinds["right"], kinds["right"] + kinds["label"]) == best


@pytest.mark.parametrize("seed", range(100))
def test_what_is_left_does_not_overlap(seed):
    """Nothing is called missed beside something invented that overlaps it."""
    outcomes = pair_items(*drawn(seed))
    missed = [one.true for one in outcomes if one.kind == "missed"]
    invented = [one.found for one in outcomes if one.kind == "invented"]
    assert [pair for pair in ((a, b) for a in missed for b in invented) if overlap(*pair)] == []
    for one in outcomes:
        if one.kind in ("cut", "both"):
            assert overlap(one.true, one.found) > 0
            assert (one.true.label == one.found.label) == (one.kind == "cut")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (item(0, 4, "a"), item(2, 4, "b"), 0.5),
        (item(0, 4, "a"), item(4, 6, "a"), 0),
        (relation("p", (0, 2), (4, 6)), relation("p", (0, 2), (5, 7)), 3 / 5),
        (relation("p", (0, 2), (4, 6)), item(0, 2, "p"), 0),
        (Item("a"), Item("a"), 0),
    ],
)
def test_overlap(one, other, expected):
    assert overlap(one, other) == overlap(other, one) == pytest.approx(expected)
