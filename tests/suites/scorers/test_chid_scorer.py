from itertools import permutations, product

import numpy as np
import pytest

from hf_ext.suites.scorers import chid_accuracy, chid_answers
from hf_ext.suites.scorers.chid import DECODINGS

WORKED = [[9, 8, 0], [8.5, 1, 0]]


def best_different(scores):
    """The different idioms with the greatest sum, by trying all."""
    blanks = range(len(scores))
    return list(max(permutations(range(scores.shape[1]), len(scores)), key=lambda one: scores[blanks, one].sum()))


def struck(scores):
    """What is left of a matrix after each choice: -inf in its row and column."""
    left, answers = scores.copy(), scores.argmax(1)
    for _ in range(min(scores.shape)):
        # The first of equal ones by idiom, then by blank.
        idiom, blank = np.unravel_index(left.T.argmax(), left.T.shape)
        answers[blank] = idiom
        left[blank], left[:, idiom] = -np.inf, -np.inf
    return answers.tolist()


@pytest.mark.parametrize(("decoding", "answers"), [("argmax", [0, 0]), ("greedy", [0, 1]), ("assignment", [1, 0])])
def test_three_ways_differ(decoding, answers):
    assert chid_answers(WORKED, [7, 7], decoding) == answers
    assert chid_answers(WORKED, [7, 8], decoding) == [0, 0]


@pytest.mark.parametrize("integers", [False, True])
def test_ways_are_those_of_their_definitions(integers):
    """With integers many logits are equal."""
    draw = np.random.default_rng(0)
    for blanks, idioms in product(range(1, 6), range(1, 6)):
        for _ in range(10):
            scores = draw.normal(size=(blanks, idioms))
            scores = np.round(2 * scores) if integers else scores
            line = [3] * blanks
            assert chid_answers(scores, line, "argmax") == [int(row.argmax()) for row in scores]
            assert chid_answers(scores, line, "greedy") == struck(scores)
            found = chid_answers(scores, line)
            if blanks > idioms:
                continue
            assert len(set(found)) == blanks
            best = best_different(scores)
            assert scores[range(blanks), found].sum() == pytest.approx(scores[range(blanks), best].sum())
            assert integers or found == best


def test_more_blanks_than_candidates():
    """Two of three blanks get different idioms, the third its best one, whichever that is."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        scores = draw.normal(size=(3, 2))
        best = max(
            (scores[list(blanks), idioms].sum(), blanks, idioms)
            for blanks in permutations(range(3), 2)
            for idioms in [[0, 1]]
        )
        expected = scores.argmax(1)
        expected[list(best[1])] = best[2]
        assert chid_answers(scores, [0, 0, 0]) == expected.tolist()
        greedy = chid_answers(scores, [0, 0, 0], "greedy")
        assert greedy == struck(scores)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_order_of_blanks_does_not_matter(decoding):
    draw = np.random.default_rng(0)
    for _ in range(30):
        lines = draw.integers(0, 4, size=11)
        scores = draw.normal(size=(11, 5))
        answers = chid_answers(scores, lines, decoding)
        order = draw.permutation(11)
        assert chid_answers(scores[order], lines[order], decoding) == [answers[place] for place in order]
        # A line is decided by itself.
        for line in set(lines):
            own = lines == line
            alone = chid_answers(scores[own], lines[own], decoding)
            assert alone == [answer for answer, kept in zip(answers, own) if kept]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_no_blanks_and_a_single_one(decoding):
    assert chid_answers(np.zeros((0, 10)), [], decoding) == []
    assert chid_answers([[0.0, 2.0, 1.0]], [0], decoding) == [1]


@pytest.mark.parametrize(
    ("logits", "lines", "options", "message"),
    [
        (WORKED, [0, 0], {"decoding": "beam"}, "one of argmax, greedy, assignment, got 'beam'"),
        (WORKED, [0], {}, r"got \[2, 3\] and \[1\]"),
        ([1.0], [0], {}, r"got \[1\] and \[1\]"),
        ([[]], [0], {}, "C at least 1"),
        ([[np.nan, 1.0]], [0], {}, "finite, got nan"),
        ([[-np.inf, 1.0]], [0], {}, "finite, got -inf"),
    ],
)
def test_what_is_not_decoded(logits, lines, options, message):
    with pytest.raises(ValueError, match=message):
        chid_answers(logits, lines, **options)


def test_accuracy():
    answers = {"#idiom000001#": 3, "#idiom000002#": 0, "#idiom000003#": 9}
    found = {"#idiom000002#": 1, "#idiom000009#": 7, "#idiom000003#": 9, "#idiom000001#": 3}
    assert chid_accuracy(found, answers) == {"accuracy": 2 / 3, "total": 3}
    with pytest.raises(ValueError, match="1 are missing: #idiom000001#"):
        chid_accuracy({"#idiom000002#": 1, "#idiom000003#": 9}, answers)
    with pytest.raises(ValueError, match="integers of candidates, got '3' for #idiom000001#"):
        chid_accuracy({**found, "#idiom000001#": "3"}, answers)
    with pytest.raises(ValueError, match="one tag or more"):
        chid_accuracy(found, {})
