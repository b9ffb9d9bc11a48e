"""Which choices the rows of a group take, beside trying all ways."""

from itertools import permutations

import numpy as np
import pytest

from hf_ext.tasks.multiple_choice import (
    DECODINGS,
    choice_scores,
    decode_argmax,
    decode_assignment,
    decode_greedy,
    decoding,
)
from hf_ext.tasks.multiple_choice.metrics import logits_of_choices

WORKED = [[9, 8, 0], [8.5, 1, 0]]


@pytest.mark.parametrize(
    ("way", "wanted"), [("argmax", [0, 0]), ("greedy", [0, 1]), ("assignment", [1, 0])], ids=DECODINGS
)
def test_the_worked_case(way, wanted):
    assert DECODINGS[way](WORKED, [7, 7]).tolist() == wanted
    # Rows by themselves, or of groups of their own, take their best.
    for groups in ([None, None], ["a", "b"], np.array([0, 1])):
        assert DECODINGS[way](WORKED, groups).tolist() == [0, 0]


def brute_force(logits):
    rows, choices = logits.shape
    ways = list(permutations(range(choices), rows))
    return ways[int(np.argmax([logits[np.arange(rows), way].sum() for way in ways]))]


def by_hand(logits):
    """The pairs from the best, each taken if row and choice are free."""
    found = {}
    for place in np.argsort(-logits, axis=None):
        row, choice = divmod(int(place), logits.shape[1])
        if row not in found and choice not in found.values():
            found[row] = choice
    return [found[row] for row in range(len(logits))]


@pytest.mark.parametrize("seed", range(20))
def test_groups_apart_and_mixed_are_those_alone(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(9, 5))
    groups = rng.permutation([0, 0, 0, "x", "x", "x", "x", None, 2])
    assert decode_argmax(logits, groups).tolist() == logits.argmax(-1).tolist()
    assignment, greedy = decode_assignment(logits, groups), decode_greedy(logits, groups)
    for group in set(groups):
        rows = np.array([row for row, own in enumerate(groups) if own == group])
        assert tuple(assignment[rows]) == brute_force(logits[rows])
        assert greedy[rows].tolist() == by_hand(logits[rows])


@pytest.mark.parametrize("way", ["greedy", "assignment"])
def test_more_rows_than_choices(way):
    """Those left over take their best."""
    logits = np.array([[3.0, 1.0], [2.0, 0.0], [2.5, 2.4]])
    found = DECODINGS[way](logits, [0, 0, 0]).tolist()
    assert found == {"greedy": [0, 0, 1], "assignment": [0, 0, 1]}[way]
    assert DECODINGS[way](np.array([[1.0], [2.0]]), [0, 0]).tolist() == [0, 0]


@pytest.mark.parametrize("way", DECODINGS)
def test_choices_that_are_not_there_are_not_taken(way):
    logits = logits_of_choices([[1.0, 5.0, -100.0], [0.0, 4.5, -100.0], [-1.0, -200.0, -300.0]], [2, 2, 3])
    wanted = {"argmax": [1, 1, 0], "greedy": [1, 0, 0], "assignment": [0, 1, 0]}
    assert DECODINGS[way](logits, [0, 0, None]).tolist() == wanted[way]
    assert DECODINGS[way](np.empty((0, 3)), []).tolist() == []


@pytest.mark.parametrize(
    ("logits", "groups", "message"),
    [
        ([[1.0, float("nan")]], [0], "must be numbers, got NaN"),
        ([[1.0, 2.0]], [0, 0], r"shape \[2, K\].* got \[1, 2\]"),
        ([[-np.inf, -np.inf]], [0], "must have a choice that is there, got none in row 0"),
    ],
)
def test_what_cannot_be_decoded_is_refused(logits, groups, message):
    for way in DECODINGS.values():
        with pytest.raises(ValueError, match=message):
            way(logits, groups)


def test_scores_name_their_way(monkeypatch):
    groups = [0, 0, 1, 1]
    scores = choice_scores(WORKED * 2, [1, 0, 0, 0], groups)
    assert scores == {
        "accuracy": 0.75,
        "decoding": "assignment",
        "accuracy_argmax": 0.75,
        "accuracy_greedy": 0.25,
        "accuracy_assignment": 0.75,
    }
    assert choice_scores(WORKED * 2, [1, 0, 0, 0], groups, "greedy")["accuracy"] == 0.25
    assert choice_scores(WORKED, [0, 1]) == {"accuracy": 0.5, "decoding": "argmax"}
    for labels in ([], [0]):
        with pytest.raises(ValueError, match="for as many questions as labels, got 2 and"):
            choice_scores(WORKED, labels)
    with pytest.raises(ValueError, match="decoding must be one of argmax, greedy, assignment, got 'best'"):
        choice_scores(WORKED, [0, 1], groups[:2], "best")
    # Without what assignments take, the other ways are there.
    monkeypatch.setattr(decoding, "find_spec", lambda name: None)
    assert "accuracy_assignment" not in choice_scores(WORKED, [0, 1], [0, 0], "greedy")
