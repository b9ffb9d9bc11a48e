import numpy as np
import pytest
from transformers import EvalPrediction

from hf_ext.tasks.events import event_compute_metrics, event_scores
from hf_ext.tasks.events.labels import TRIGGER
from hf_ext.tasks.relations import relation_compute_metrics, relation_scores


def relation(subject, predicate, value, **slots):
    return {
        "predicate": predicate,
        "subject": {"text": subject},
        "object": {"text": value},
        "slots": [{"name": name, "text": text} for name, text in slots.items()],
    }


def test_every_slot_must_be_right():
    true = [relation("a", "p", "b", work="c", date="d"), relation("a", "q", "b")]
    cases = {
        1.0: [relation("a", "p", "b", date="d", work="c"), relation("a", "q", "b"), relation("a", "q", "b")],
        0.5: [relation("a", "p", "b", work="c"), relation("a", "q", "b")],
        0.0: [relation("a", "p", "b"), relation("b", "q", "a")],
    }
    for f1, found in cases.items():
        assert relation_scores([found], [true])["f1"] == f1
    with pytest.raises(ValueError, match="as many texts"):
        relation_scores([], [true])


def test_relations_on_tokens():
    true = np.array([[[0, 1, 2, 3, 4], [1, 1, 1, 1, 1]], [[0, 1, 1, 2, 2], [-100] * 5]])
    found = np.full((2, 3, 6), -1.0)
    found[0, 0] = [0, 1, 2, 3, 4, 9.0]
    found[1, 0] = [1, 1, 1, 2, 2, 9.0]
    scores = relation_compute_metrics({0: "a", 1: "b"})(EvalPrediction(found, true))
    assert scores["precision"] == 0.5
    assert scores["recall"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="predictions must be an array"):
        relation_compute_metrics({0: "a"})(EvalPrediction(found[..., :5], true))
    with pytest.raises(ValueError, match="predictions must have labels from 0 to 0, the ids of id2label, got 1"):
        relation_compute_metrics({0: "a"})(EvalPrediction(found, true))
    with pytest.raises(ValueError, match="predictions must have as many rows as label_ids, 2, got 1"):
        relation_compute_metrics({0: "a", 1: "b"})(EvalPrediction(found[:1], true))


def event(kind, *arguments):
    return {"type": kind, "arguments": [{"role": r, "start": s, "end": s + 1} for r, s in arguments]}


def test_events_and_their_arguments():
    true = [event("x", (TRIGGER, 0), ("who", 1), ("when", 2)), event("x", (TRIGGER, 5))]
    found = [event("x", (TRIGGER, 0), ("who", 1)), event("x", (TRIGGER, 5)), event("x", ("when", 2))]
    scores = event_scores([found], [true])
    # Triggers are no arguments, and an event without one is none.
    assert (scores["f1"], scores["support"]) == (1.0, 2)
    assert (scores["event_precision"], scores["event_recall"], scores["event_support"]) == (0.5, 0.5, 2)


def test_events_on_tokens():
    true = np.array([[[7, 0, 1, 1], [7, 1, 2, 3], [3, 0, 4, 4]]])
    found = np.full((1, 4, 5), -1.0)
    found[0, :2] = [[0, 0, 1, 1, 2.0], [0, 1, 2, 3, 2.0]]
    scores = event_compute_metrics({0: f"x|{TRIGGER}", 1: "x|who"})(EvalPrediction(found, true))
    assert scores == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "event_f1": pytest.approx(2 / 3)}
    with pytest.raises(ValueError, match="label_ids must be an array"):
        event_compute_metrics({0: "x|y", 1: "x|z"})(EvalPrediction(found, true[..., :3]))
    with pytest.raises(ValueError, match="predictions must have labels from 0 to 0, the ids of id2label, got 1"):
        event_compute_metrics({0: f"x|{TRIGGER}"})(EvalPrediction(found, true))
    with pytest.raises(ValueError, match="predictions must have as many rows as label_ids, 1, got 2"):
        event_compute_metrics({0: f"x|{TRIGGER}", 1: "x|who"})(EvalPrediction(found.repeat(2, 0), true))
