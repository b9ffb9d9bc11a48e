"""The arithmetic of `benchmarks/sizes.py`, and its table in the documents."""

from pathlib import Path

import pytest
import sizes

DOCUMENT = Path(__file__).parents[2] / "docs" / "sizes.md"


def row(what="forward", side="bfloat16", seconds="2.0", threads="1"):
    return {
        "size": "base",
        "batch": "8",
        "length": "400",
        "what": what,
        "side": side,
        "least_s": seconds,
        "threads": threads,
    }


@pytest.mark.parametrize("length", [1, 128, 400])
def test_operations_are_those_of_the_matrices(length):
    """Of the 12 layers with matrices of 768 and 3072, and each token beside all others."""
    matrices = 12 * (4 * 768 * 768 + 2 * 768 * 3072)
    meetings = 12 * 2 * 768 * length
    assert sizes.operations(length) == 2 * (matrices + meetings)
    assert sizes.operations(length, training=True) == 6 * (matrices + meetings)


def test_what_was_measured_is_taken_from_its_one_row():
    rows = [row(), row("train", seconds="4.0"), row(side="float32", seconds="8.0"), row(threads="2", seconds="1.0")]
    assert sizes.measured(rows, "forward", "bfloat16") == 3200 / 2 * 3600
    assert sizes.measured(rows, "train", "bfloat16") == 3200 / 4 * 3600
    for other in ([], [*rows, row()]):
        with pytest.raises(ValueError, match=r"bfloat16\.csv must have one row of .*, got"):
            sizes.measured(other, "forward", "bfloat16")


def test_several_gpus_lose_a_share_in_training_alone(monkeypatch):
    monkeypatch.setattr(sizes, "SHARE", 0.5)
    one = sizes.computed(1e12, 1, True)
    assert one == pytest.approx(0.5e12 * 3600 / sizes.operations(400, training=True))
    assert sizes.computed(1e12, 8, True) == pytest.approx(8 * 0.95 * one)
    assert sizes.computed(1e12, 8, False) == pytest.approx(8 * 0.5e12 * 3600 / sizes.operations(128))


@pytest.mark.parametrize(
    ("number", "expected"), [(12.3, "12"), (1449, "1.4 thousand"), (2.04e6, "2 million"), (6.5e10, "65 billion")]
)
def test_two_digits_count(number, expected):
    assert sizes._rounded(number) == expected


def test_the_table_of_the_document_is_the_script_s():
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = text.partition("<!-- benchmarks/sizes.py -->\n")[2].partition("<!-- end of the table -->")[0]
    assert shown == sizes.table(sizes.read())
    assert shown.count("| measured |") == 2
    assert shown.count("| computed |") == 7
