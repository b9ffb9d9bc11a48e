import random

import pytest

from hf_ext.suites.scorers import labelled_accuracy


def test_rows_without_a_class_are_not_counted():
    scores = labelled_accuracy(["a", "b", "a", "b"], ["a", "-", "b", "b"])
    assert scores == {"accuracy": 2 / 3, "total": 3, "without_label": 1, "accuracy_of_all_rows": 0.5}
    assert labelled_accuracy(["a", "b"], ["-", "?"], no_label=["?"])["accuracy"] == 0.0


def test_what_185_rows_without_a_class_cost_on_cmnli():
    """At an accuracy of 0.8, about the 1.2 points that the docstring names."""
    references = ["neutral"] * 12241 + ["-"] * 185
    predictions = ["neutral"] * 9793 + ["entailment"] * (12426 - 9793)
    scores = labelled_accuracy(predictions, references)
    assert scores["accuracy"] - scores["accuracy_of_all_rows"] == pytest.approx(0.0119, abs=1e-4)


def test_order_of_rows_does_not_matter():
    draw = random.Random(0)
    for _ in range(50):
        rows = [(draw.choice("abc"), draw.choice("abc-")) for _ in range(draw.randint(2, 12))] + [("a", "a")]
        scores = labelled_accuracy(*zip(*rows))
        draw.shuffle(rows)
        assert labelled_accuracy(*zip(*rows)) == scores
        kept = [found == true for found, true in rows if true != "-"]
        assert (scores["accuracy"], scores["total"]) == (kept.count(True) / len(kept), len(kept))


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (["a"], ["a", "b"], "as many texts as references, 2, got 1"),
        ([102], ["102"], "predictions must be strings, got 102"),
        (["102"], [102], "references must be strings, got 102"),
        (["a"], ["-"], "got 1 without"),
        ([], [], "got 0 without"),
    ],
)
def test_what_is_refused(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        labelled_accuracy(predictions, references)
