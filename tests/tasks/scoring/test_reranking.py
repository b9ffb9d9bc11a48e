"""N-best lists: their files, and their order by two scores."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_ext.data.text_lines import TextFileError
from hf_ext.tasks.scoring import read_n_best, rerank


@pytest.mark.parametrize(
    ("weight", "order"),
    [(0.0, "bac"), (0.5, "bca"), (1.0, "cba"), (-1.0, "bac")],
)
def test_order(weight: float, order: str) -> None:
    """By hand: -3, -2, -4 of the recogniser, and -5, -4.5, -1 of the language model."""
    candidates = [{"text": name, "score": own} for name, own in (("a", -3.0), ("b", -2.0), ("c", -4.0))]
    found = rerank(candidates, [-5.0, -4.5, -1.0], weight)
    brute = sorted(
        ({"a": -3, "b": -2, "c": -4}[name] + weight * {"a": -5, "b": -4.5, "c": -1}[name] for name in "abc"),
        reverse=True,
    )
    assert [one["total"] for one in found] == brute
    assert "".join(one["text"] for one in found) == order
    assert candidates[0].keys() == {"text", "score"}


def test_equal_ones_keep_their_order() -> None:
    found = rerank([{"text": "a"}, {"text": "b"}, {"text": "c", "score": 1.0}], [0.0, 0.0, 0.0])
    assert [one["text"] for one in found] == ["c", "a", "b"]
    assert rerank([], []) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([{"text": "a"}], [], 1.0), "lm_scores must be one for each of 1 candidates, got 0"),
        (([{"text": "a"}], [1.0], float("nan")), "weight must be a finite number, got nan"),
        (([{"text": "a"}], [float("-inf")], 1.0), "scores must be finite numbers, got None and -inf"),
    ],
)
def test_refused_scores(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rerank(*arguments)


def test_files(tmp_path: Path) -> None:
    lists = [
        {"id": 7, "candidates": [{"text": "天", "score": -1, "words": 1}, {"text": "地"}]},
        {"candidates": ["人", "入"]},
    ]
    wanted = [
        {"id": 7, "candidates": [{"text": "天", "score": -1.0, "words": 1}, {"text": "地", "score": 0.0}]},
        {"candidates": [{"text": "人", "score": 0.0}, {"text": "入", "score": 0.0}]},
    ]
    for name, content in {
        "lines": "\n".join(json.dumps(one) for one in lists),
        "array": json.dumps(lists, indent=1),
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert list(read_n_best(tmp_path / name)) == wanted
    (tmp_path / "empty").write_text("\n")
    assert list(read_n_best(tmp_path / "empty")) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "天"}', "candidates must be a list of one or more, got 'None'"),
        ('{"candidates": []}', "candidates must be a list of one or more, got"),
        ('{"candidates": [1]}', "a candidate must be a text, or an object with text and score, got '1'"),
        ('{"candidates": [{"score": 1}]}', "a candidate must be a text, or an object"),
        ('{"candidates": [{"text": "a", "score": "1"}]}', "the score of a candidate must be a finite number, got"),
        ('{"candidates": [{"text": "a", "score": true}]}', "the score of a candidate must be a finite number, got"),
        ('{"candidates": [{"text": "a", "score": NaN}]}', "the score of a candidate must be a finite number, got"),
        ("天", "JSON"),
    ],
)
def test_refused_files(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "lists.jsonl"
    file.write_text(f'{{"candidates": ["a"]}}\n{line}\n', encoding="utf-8")
    with pytest.raises(TextFileError, match=message) as caught:
        list(read_n_best(file))
    assert "lists.jsonl" in str(caught.value)
    assert "2" in str(caught.value)
