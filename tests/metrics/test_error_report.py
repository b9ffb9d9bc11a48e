"""The error report: groups counted by hand, the worst first, and numbers that JSON does not know."""

import json
import math
import random

import pytest

from hf_ext.metrics import span_scores
from hf_ext.metrics.comparison import Comparison, Item, pair_items
from hf_ext.metrics.error_report import error_report


def entity(text, start, end, label, **more):
    return Item(label, (start, end), text[start:end], (("", start, end),), **more)


def comparison(text, true, found):
    sides = ([entity(text, *place) for place in side] for side in (true, found))
    return Comparison({"text": text}, pair_items(*sides))


TEXTS = [
    comparison("张三在北京", [(0, 2, "人"), (3, 5, "地")], [(0, 2, "人"), (3, 5, "地")]),
    comparison("李四在上海的北京路", [(0, 2, "人"), (3, 5, "地"), (6, 9, "地")], [(0, 2, "地"), (6, 8, "地")]),
    comparison("好" * 20, [], [(0, 1, "人")]),
]
TRAINING = [[entity("张三", 0, 2, "人")], [entity("北京", 0, 2, "地")], [entity("李四", 0, 2, "地")]]


def test_groups():
    report = error_report(TEXTS, {"f1": 0.5}, TRAINING, task="ner", file="valid.json")
    assert report["about"] == {"task": "ner", "file": "valid.json"}
    assert (report["number"], report["wrong"], report["layout"]) == (3, 2, "marks")
    counts = {"right": 2, "label": 1, "cut": 1, "both": 0, "missed": 1, "invented": 1}
    ratios = {"precision": 2 / 5, "recall": 2 / 5, "f1": 2 / 5}
    assert report["total"] == {"texts": 3, "true": 5, "found": 5, **counts, **ratios}
    assert list(report["labels"]) == ["地", "人"]
    assert report["labels"]["人"] == {
        "true": 2,
        "found": 2,
        "right": 1,
        "label": 1,
        "cut": 0,
        "both": 0,
        "missed": 0,
        "invented": 1,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
    }
    assert {name: group["texts"] for name, group in report["lengths"].items()} == {"0-15": 2, "16-31": 1}
    assert {name: group["true"] for name, group in report["item_lengths"].items()} == {"1": 0, "2": 4, "3": 1}
    assert report["confusions"] == [{"true": "人", "found": "地", "number": 1}]
    surfaces = {name: (group["true"], group["found"]) for name, group in report["surfaces"].items()}
    # Seen: 张三, 北京 twice found; 李四 was a place in training, and is found as one.
    assert surfaces == {
        "seen in training": (2, 4),
        "seen with other labels only": (1, 0),
        "not seen in training": (2, 1),
    }


def test_examples_come_with_the_worst_first():
    examples = error_report(TEXTS, {})["examples"]
    assert [(one["number"], one["wrong"]) for one in examples] == [(2, 3), (3, 1), (1, 0)]
    assert examples[1]["items"] == [
        {
            "kind": "invented",
            "true": None,
            "found": {"label": "人", "text": "好", "spans": [{"part": "", "start": 0, "end": 1}]},
        }
    ]
    assert error_report(TEXTS, {})["surfaces"] == {}


@pytest.mark.parametrize("seed", range(30))
def test_ratios_are_those_of_span_scores(seed):
    """To the last digit, of all and of each label, nested, crossing and repeated spans among them."""
    rng = random.Random(seed)

    def side():
        starts = [rng.randrange(9) for _ in range(rng.randrange(6))]
        return [(start, start + rng.randint(1, 3), rng.choice("abc")) for start in starts]

    rows = [(side(), side()) for _ in range(8)]
    report = error_report([comparison("字" * 12, *row) for row in rows], {})
    true, found = ([[(label, start, end) for start, end, label in row] for row in each] for each in zip(*rows))
    scores = span_scores(found, true)
    names = ("precision", "recall", "f1")
    assert {name: report["total"][name] for name in names} == {name: scores[name] for name in names}
    assert report["labels"].keys() == scores["per_type"].keys()
    for label, own in scores["per_type"].items():
        group = report["labels"][label]
        assert {**{name: group[name] for name in names}, "support": group["true"]} == own
    for groups in ("labels", "lengths", "item_lengths"):
        for kind in ("true", "found", "right", "cut", "missed", "invented", "label", "both"):
            assert sum(group[kind] for group in report[groups].values()) == report["total"][kind]


def test_measures_are_means_over_what_they_are_of():
    examples = [
        Comparison({"turns": "一"}, measures={"loss": (6.0, 3)}, badness=2.0),
        Comparison({"turns": "二"}, measures={"loss": (1.0, 1)}, true="甲", found="乙", badness=3.0),
        Comparison({"turns": "三"}, measures={"loss": (0.0, 0)}, badness=math.nan),
    ]
    report = error_report(examples, {"perplexity": math.inf, "per_type": {"a": {"f1": math.nan}}})
    assert report["layout"] == "texts"
    assert report["total"] == {"texts": 3, "measures": {"loss": 7 / 4}}
    assert report["scores"] == {"perplexity": None, "per_type": {"a": {"f1": None}}}
    # What has no number comes first.
    assert [one["number"] for one in report["examples"]] == [3, 2, 1]
    assert report["examples"][1] == {
        "number": 2,
        "wrong": 0,
        "parts": {"turns": "二"},
        "true": "甲",
        "found": "乙",
        "measures": {"loss": 1.0},
    }
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(
    ("item", "layout"),
    [
        (Item("a"), "items"),
        (Item("a", 0, "x", (("", 0, 1),)), "marks"),
        (Item("a", 0, "x", (("", 0, 1),), role="r"), "items"),
        (Item("a", 0, "x", (("subject", 0, 1), ("object", 2, 3))), "items"),
    ],
)
def test_layout(item, layout):
    assert error_report([Comparison({"text": "xyz"}, pair_items([item], []))], {})["layout"] == layout


def test_a_file_without_anything():
    report = error_report([], {})
    assert (report["number"], report["examples"], report["labels"]) == (0, [], {})
