"""What is suspicious about files, by hand and by brute force."""

import random

import pytest

from hf_ext.data.file_checks import (
    CheckedExample,
    Finding,
    check_files,
    check_lengths,
    label_counts,
    worst_severity,
)


def example(text, answer=None, labels=(), lost=0):
    texts = (text,) if isinstance(text, str) else text
    return CheckedExample(texts, answer, tuple(labels), lost)


def found(files):
    """What is found, without the sentences."""
    return [(one.severity, one.kind, one.file, one.number, one.of) for one in check_files(files)]


MANY = [example(f"文{number}", "a", ["a"]) for number in range(5)]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"train": MANY}, []),
        ({"train": []}, [("error", "no examples", "train", 0, 0)]),
        ({"train": [*MANY, example(" \t")]}, [("warning", "empty", "train", 1, 6)]),
        ({"train": [*MANY, example(("一", ""))]}, [("warning", "empty", "train", 1, 6)]),
        # As many as there are too many; in training they are a choice, in an evaluation they count twice.
        ({"train": [*MANY, MANY[0], MANY[0]]}, [("note", "duplicate", "train", 2, 7)]),
        ({"train": MANY, "test": [example("甲", "a", ["a"])] * 2}, [("warning", "duplicate", "test", 1, 2)]),
        ({"train": [*MANY, example("文1", "b")]}, [("warning", "conflict", "train", 2, 6)]),
        ({"train": [example(("一", "二")), example(("二", "一"))]}, []),
        ({"train": MANY, "validation": [MANY[3]]}, [("warning", "leak", "validation", 1, 1)]),
        (
            {"train": MANY, "validation": [MANY[3]], "test": [MANY[3], example("新", "a", ["a"])]},
            [
                ("warning", "leak", "validation", 1, 1),
                ("warning", "leak", "test", 1, 2),
                ("warning", "leak", "test", 1, 2),
            ],
        ),
        ({"train": [*MANY, example("长", "a", ["a", "a"], lost=2)]}, [("warning", "lost", "train", 2, 7)]),
        ({"train": MANY[:4]}, [("note", "rare", "train", 1, 1)]),
        (
            {"train": MANY, "test": [example("新", "b", ["b"])]},
            [("error", "unknown", "test", 1, 2), ("note", "unscored", "test", 1, 2)],
        ),
        # The next file is looked into still.
        ({"validation": [], "test": MANY}, [("error", "no examples", "validation", 0, 0)]),
    ],
)
def test_findings(files, expected):
    assert found(files) == expected


def test_labels_of_a_schema_need_not_be_in_the_training_file():
    findings = check_files({"train": MANY, "test": [example("新", "b", ["b"])]}, labels_are_named=True)
    assert [(one.severity, one.kind) for one in findings] == [("warning", "unknown"), ("note", "unscored")]


def test_places_name_examples_that_belong_together():
    findings = check_files({"train": [*MANY, MANY[2], example("文4", "b")], "test": [MANY[4], MANY[0]]})
    places = {one.kind: one.places for one in findings}
    assert places["duplicate"] == ["3, 6 (文2)"]
    assert places["conflict"] == ["5, 7 (文4)"]
    assert places["leak"] == ["1 is 5 of train (文4)", "2 is 1 of train (文0)"]


@pytest.mark.parametrize("seed", range(20))
def test_counts_by_comparing_all_pairs(seed):
    rng = random.Random(seed)

    def drawn():
        return [example(rng.choice("一二三四五六"), rng.choice("ab")) for _ in range(rng.randint(1, 8))]

    train, test = drawn(), drawn()
    counts = {(kind, file): number for _, kind, file, number, _ in found({"train": train, "test": test})}
    assert counts.get(("leak", "test"), 0) == sum(any(one.texts == other.texts for other in train) for one in test)
    for name, examples in (("train", train), ("test", test)):
        conflicts = [
            one
            for one in examples
            if any(one.texts == other.texts and one.answer != other.answer for other in examples)
        ]
        assert counts.get(("conflict", name), 0) == len(conflicts)
        rest = [one.texts for one in examples if one not in conflicts]
        assert counts.get(("duplicate", name), 0) == len(rest) - len(set(rest))


@pytest.mark.parametrize(
    ("lengths", "windows", "expected"),
    [
        ([3, 4], False, []),
        ([3, 5, 9], False, [("warning", "cut off", 2, 3, ["2 (5 tokens)", "3 (9 tokens)"])]),
        ([3, 5, 9], True, [("note", "windows", 2, 3, ["2 (5 tokens)", "3 (9 tokens)"])]),
    ],
)
def test_lengths(lengths, windows, expected):
    findings = check_lengths("train", "max_length", lengths, 4, windows)
    assert [(one.severity, one.kind, one.number, one.of, one.places) for one in findings] == expected
    assert all("more than 4 tokens (max_length), the longest 9" in one.message for one in findings)


def test_label_counts():
    files = {"train": [example("一", labels="aab")], "test": [example("二", labels="bbc")]}
    assert label_counts(files) == {
        "a": {"train": 2, "test": 0},
        "b": {"train": 1, "test": 2},
        "c": {"train": 0, "test": 1},
    }
    assert list(label_counts(files)) == ["a", "b", "c"]


def test_worst_severity():
    findings = [Finding(severity, "", "train", "") for severity in ("note", "error", "warning")]
    assert [worst_severity(findings[:count]) for count in range(4)] == [None, "note", "error", "error"]
