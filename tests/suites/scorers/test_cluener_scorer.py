import random

import pytest

from hf_ext.suites.scorers import cluener_label, cluener_scores
from hf_ext.suites.scorers.cluener import TYPES

TEXT = "李雷在李雷公司见到了李雷"


def by_hand(predictions, references, kind):
    """tp, fp, fn of a type, string by string."""
    tp = fp = fn = 0
    for found, true in zip(predictions, references):
        found, true = list(found.get(kind, {})), list(true.get(kind, {}))
        tp += sum(one in true for one in found)
        fp += sum(one not in true for one in found)
        fn += sum(one not in found for one in true)
    return tp, fp, fn


def drawn_label(draw):
    strings = {}
    for _ in range(draw.randint(0, 6)):
        start = draw.randrange(len(TEXT))
        last = min(len(TEXT) - 1, start + draw.randint(0, 1))
        places = strings.setdefault(draw.choice(TYPES[:3]), {}).setdefault(TEXT[start : last + 1], [])
        if [start, last] not in places:
            places.append([start, last])
    return strings


def test_places_count_for_spans_alone():
    """A name that stands twice and is found once: the official tp 1, fp 0, fn 0; of spans tp 1, fn 1."""
    true = [{"name": {"李雷": [[0, 1], [5, 6]]}}]
    found = [{"name": {"李雷": [[0, 1]]}}]
    scores = cluener_scores(found, true, ["name"])
    assert {key: scores["per_type"]["name"][key] for key in ("tp", "fp", "fn")} == {"tp": 1, "fp": 0, "fn": 0}
    assert scores["macro_f1_of_strings"] == 1.0
    spans = [scores[f"micro_{name}_of_spans"] for name in ("precision", "recall", "f1")]
    assert spans == [1.0, 0.5, pytest.approx(2 / 3)]


def test_the_mean_is_over_all_types_and_not_over_entities():
    """Nine types are never right: the official script would stop."""
    true = [{"name": {"李雷": [[0, 1]]}, "company": {"李雷公司": [[3, 6]]}}]
    found = [{"name": {"李雷": [[0, 1]]}, "book": {"李雷公司": [[3, 6]]}, "no such type": {"了": [[9, 9]]}}]
    scores = cluener_scores(found, true)
    assert scores["macro_f1_of_strings"] == pytest.approx(0.1)
    assert scores["micro_f1_of_spans"] == 0.5
    assert scores["official_stops_at"] == [kind for kind in TYPES if kind != "name"]
    assert list(scores["per_type"]) == list(TYPES)


def test_scores_are_those_of_the_definition():
    draw = random.Random(0)
    for _ in range(200):
        rows = [(drawn_label(draw), drawn_label(draw)) for _ in range(draw.randint(1, 5))]
        scores = cluener_scores(*zip(*rows))
        f1 = []
        for kind in TYPES:
            tp, fp, fn = by_hand(*zip(*rows), kind)
            assert {"tp": tp, "fp": fp, "fn": fn}.items() <= scores["per_type"][kind].items()
            if tp:
                precision, recall = tp / (tp + fp), tp / (tp + fn)
                f1.append(2 * precision * recall / (precision + recall))
            assert (kind in scores["official_stops_at"]) == (not tp)
        assert scores["macro_f1_of_strings"] == pytest.approx(sum(f1) / 10)
        draw.shuffle(rows)
        assert cluener_scores(*zip(*rows)) == scores
        labels = [row[1] for row in rows]
        occurring = {kind for label in labels for kind in label}
        assert cluener_scores(labels, labels)["macro_f1_of_strings"] == pytest.approx(len(occurring) / 10)


def test_label_of_entities():
    entities = [
        {"start": 10, "end": 12, "label": "name"},
        {"start": 0, "end": 2, "label": "name"},
        {"start": 3, "end": 7, "label": "company"},
        {"start": 0, "end": 2, "label": "name", "score": 0.5},
    ]
    label = {"name": {"李雷": [[0, 1], [10, 11]]}, "company": {"李雷公司": [[3, 6]]}}
    assert cluener_label(TEXT, entities) == label
    assert list(cluener_label(TEXT, entities)) == ["name", "company"]
    assert cluener_label(TEXT, []) == {}
    for span in ({"start": 3, "end": 3}, {"start": -1, "end": 2}, {"start": 10, "end": 13}):
        with pytest.raises(ValueError, match="must be in its text of 12 characters"):
            cluener_label(TEXT, [{"label": "name", **span}])


def test_files_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="as many texts as references, 1, got 2"):
        cluener_scores([{}, {}], [{}])
