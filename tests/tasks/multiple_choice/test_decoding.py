"""Which choices the rows of a group take, beside trying all ways."""

from itertools import permutations, product

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


def struck(logits):
    """What is left of a matrix after each choice: -inf in its row and column."""
    left, found = logits.copy(), logits.argmax(1)
    for _ in range(min(logits.shape)):
        # The first of equal ones by choice, then by row, as in CLUE's code.
        choice, row = np.unravel_index(left.T.argmax(), left.T.shape)
        found[row] = choice
        left[row], left[:, choice] = -np.inf, -np.inf
    return found.tolist()


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
        assert greedy[rows].tolist() == struck(logits[rows])


@pytest.mark.parametrize("integers", [False, True])
def test_ways_are_those_of_their_definitions(integers):
    """With integers many logits are equal."""
    draw = np.random.default_rng(0)
    for rows, choices in product(range(1, 6), range(1, 6)):
        for _ in range(10):
            logits = draw.normal(size=(rows, choices))
            logits = np.round(2 * logits) if integers else logits
            assert decode_greedy(logits, [3] * rows).tolist() == struck(logits)
            found = decode_assignment(logits, [3] * rows).tolist()
            if rows > choices:
                continue
            assert len(set(found)) == rows
            best = brute_force(logits)
            assert logits[range(rows), found].sum() == pytest.approx(logits[range(rows), best].sum())
            assert integers or tuple(found) == best


def test_more_rows_than_choices():
    """Two of three rows get different choices, the third its best one, whichever that is."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        logits = draw.normal(size=(3, 2))
        _, rows = max((logits[list(rows), [0, 1]].sum(), rows) for rows in permutations(range(3), 2))
        wanted = logits.argmax(1)
        wanted[list(rows)] = [0, 1]
        assert decode_assignment(logits, [0, 0, 0]).tolist() == wanted.tolist()
        assert decode_greedy(logits, [0, 0, 0]).tolist() == struck(logits)
    for way in DECODINGS.values():
        assert way(np.array([[1.0], [2.0]]), [0, 0]).tolist() == [0, 0]


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
