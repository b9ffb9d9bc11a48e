"""Rouge and BLEU on characters, beside brute force and the definitions."""

import math
import random
from itertools import combinations

import numpy as np
import pytest
from transformers import EvalPrediction

from hf_ext.tasks.summarization import summary_compute_metrics, summary_scores
from hf_ext.tasks.summarization.metrics import summary_table


def ngrams(text, size):
    return [text[i : i + size] for i in range(len(text) - size + 1)]


def overlap(a, b):
    """Multiset intersection by crossing out."""
    left, common = list(b), 0
    for item in a:
        if item in left:
            left.remove(item)
            common += 1
    return common


def f1(common, found, true):
    precision, recall = (common / n if n else 0 for n in (found, true))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def longest_common(a, b):
    """By trying all subsequences."""
    for size in range(min(len(a), len(b)), 0, -1):
        if {*combinations(a, size)} & {*combinations(b, size)}:
            return size
    return 0


def sentence_bleu(found, true):
    """Papineni's formula for one sentence of at least four characters, with 0.1 in place of a count of 0."""
    logs = []
    for size in range(1, 5):
        own = ngrams(found, size)
        logs.append(math.log((overlap(own, ngrams(true, size)) or 0.1) / len(own)))
    return min(1, math.exp(1 - len(true) / len(found))) * math.exp(sum(logs) / 4)


@pytest.mark.parametrize("seed", range(20))
def test_against_the_definitions(seed):
    rng = random.Random(seed)
    pairs = [tuple("".join(rng.choices("甲乙丙丁a", k=rng.randint(4, 8))) for _ in "ab") for _ in range(3)]
    pairs.append(("甲乙丙丁a", "甲乙丙丁a"))
    found = summary_scores(*zip(*pairs))
    wanted = {
        "rouge1": [f1(overlap(a, b), len(a), len(b)) for a, b in pairs],
        "rouge2": [f1(overlap(ngrams(a, 2), ngrams(b, 2)), len(a) - 1, len(b) - 1) for a, b in pairs],
        "rougeL": [f1(longest_common(a, b), len(a), len(b)) for a, b in pairs],
        "bleu": [sentence_bleu(a, b) if set(a) & set(b) else 0 for a, b in pairs],
    }
    assert found == pytest.approx({name: sum(values) / len(values) for name, values in wanted.items()})


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("今天天气", "今天天气", 1),
        ("今 天\u3000天气", "今天天气", 1),
        ("XML 文档", "xml文档", 1),
        ("", "今天", 0),
        ("", "", 0),
        ("甲乙丙丁", "戊己庚辛", 0),
    ],
)
def test_ends_of_the_scale(prediction, reference, expected):
    scores = summary_scores([prediction], [reference])
    assert scores == pytest.approx(dict.fromkeys(("rouge1", "rouge2", "rougeL", "bleu"), expected))


@pytest.mark.parametrize(("predictions", "references"), [([], []), (["甲"], []), (["甲"], ["甲", "乙"])])
def test_refuses_unequal_numbers(predictions, references):
    with pytest.raises(ValueError, match="predictions must be as many as references, one or more, got"):
        summary_scores(predictions, references)


def test_in_the_form_that_trainer_takes():
    def decode(ids):
        return ["".join(chr(i) for i in row if i >= 0) for row in ids]

    compute = summary_compute_metrics(decode)
    ids = np.array([[0x4E00, 0x4E01, -100]])
    assert compute(EvalPrediction(predictions=ids, label_ids=ids))["rouge1"] == 1


def test_table():
    table = summary_table({"rouge1": 0.1234, "rouge2": 0, "rougeL": 1, "bleu": 0.5}, title="valid")
    assert [column.header for column in table.columns] == ["Rouge-1", "Rouge-2", "Rouge-L", "BLEU"]
    assert [next(iter(column.cells)) for column in table.columns] == ["12.34", "0.00", "100.00", "50.00"]
