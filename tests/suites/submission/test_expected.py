from typing import Any, NamedTuple

import pytest

from hf_ext.suites.submission import SubmissionFile, file_of_rows


class Row(NamedTuple):
    id: Any
    example: dict[str, Any]


@pytest.mark.parametrize(
    ("kind", "examples", "given"),
    [
        ("label", [{"text": "a"}, {"text": "b"}], {}),
        ("label", [{"text": "a", "choices": ["x"]}, {"text": "b", "choices": ["x", "y"]}], {"choices": [1, 2]}),
        ("answer", [{"candidates": ["x"] * 7}, {"candidates": ["x"] * 7}], {"choices": [7, 7]}),
        ("entities", [{"text": "a"}, {"text": "b"}], {"texts": ["a", "b"]}),
        ("events", [{"text": "a"}, {"text": "b"}], {"texts": ["a", "b"]}),
        ("answers", [{"context": "a", "question": "q"}, {"context": "b", "question": "q"}], {"texts": ["a", "b"]}),
        (
            "idioms",
            [{"choices": ["x"] * 10, "group": 0}, {"choices": ["x"] * 10, "group": 4}],
            {"choices": [10, 10], "lines": [0, 4]},
        ),
    ],
)
def test_what_rows_say_of_a_file(kind, examples, given):
    rows = [Row(31, examples[0]), Row("7", examples[1])]
    file = file_of_rows("a.json", kind, rows, ["0", "1"], required=False)
    assert file == SubmissionFile(name="a.json", kind=kind, ids=[31, "7"], labels=["0", "1"], required=False, **given)


def test_relations_go_by_their_texts():
    file = file_of_rows("a.json", "relations", [Row(0, {"text": "a"})], any_name=True)
    assert file == SubmissionFile(name="a.json", kind="relations", texts=["a"], any_name=True)
    assert file_of_rows("a.json", "label", []) == SubmissionFile(name="a.json", kind="label", ids=[], choices=[])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "labels"}, r"must be one of label, answer, .*, answers, got 'labels'"),
        ({"kind": "label", "ids": [1], "texts": ["a", "b"]}, r"texts of a\.json must be 1, one for each id, got 2"),
        ({"kind": "idioms", "ids": ["a"], "lines": [0, 0]}, r"lines of a\.json must be 1"),
        ({"kind": "relations", "ids": [1]}, "texts and no ids"),
    ],
)
def test_what_cannot_be_expected(options, message):
    with pytest.raises(ValueError, match=message):
        SubmissionFile(name="a.json", **options)
