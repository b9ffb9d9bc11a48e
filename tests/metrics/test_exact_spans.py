"""Span scores against seqeval, brute force and the evaluate library's own way of adding."""

import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import evaluate
import numpy as np
import pytest
from transformers import EvalPrediction

from hf_ext.metrics import span_compute_metrics, span_scores
from hf_ext.tasks.entities import SpanMetric

LABELS = ["A", "B", "C", "D"]
ID2LABEL = dict(enumerate(LABELS))


def random_spans(source, size, labels=3, length=5):
    spans = (
        (source.randrange(labels), *sorted(source.choices(range(length), k=2))) for _ in range(source.randint(0, size))
    )
    return set(spans)


def padded(rows, width, fill, size):
    array = np.full((len(rows), size, width), fill, dtype=np.float32 if width == 4 else np.int64)
    for own, spans in zip(array, rows):
        for line, span in zip(own, sorted(spans)):
            line[:] = (*span, 0.5)[:width]
    return array


def brute_force(predictions, references):
    """Precision, recall, F1 of (row, span) pairs by counting one after the other."""
    found = [(row, span) for row, spans in enumerate(predictions) for span in spans]
    true = [(row, span) for row, spans in enumerate(references) for span in spans]
    right = sum(pair in true for pair in found)
    precision = right / len(found) if found else 0.0
    recall = right / len(true) if true else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def of_label(rows, label):
    return [{span for span in spans if span[0] == label} for spans in rows]


@pytest.mark.parametrize("texts", [0, 1, 2, 7, 40])
def test_nested_spans_by_brute_force(texts):
    source = random.Random(texts)
    for _ in range(10):
        predictions = [random_spans(source, 8) for _ in range(texts)]
        references = [random_spans(source, 6) for _ in range(texts)]
        scores = span_scores(predictions, references)
        expected = brute_force(predictions, references)
        assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
        assert scores["support"] == sum(map(len, references))
        occurring = sorted({span[0] for spans in (*predictions, *references) for span in spans})
        assert list(scores["per_type"]) == occurring
        each = [brute_force(of_label(predictions, label), of_label(references, label)) for label in occurring]
        for label, row in zip(occurring, each):
            own = scores["per_type"][label]
            assert [own[name] for name in ("precision", "recall", "f1")] == pytest.approx(row)
            assert own["support"] == sum(map(len, of_label(references, label)))
        for index, name in enumerate(("precision", "recall", "f1")):
            mean = sum(row[index] for row in each) / len(each) if each else 0.0
            assert scores[f"macro_{name}"] == pytest.approx(mean)

        evaluation = EvalPrediction(predictions=padded(predictions, 4, -1, 9), label_ids=padded(references, 3, -100, 7))
        flat = span_compute_metrics(ID2LABEL)(evaluation)
        assert flat.pop("f1_D") == 0.0
        for name in ("precision", "recall", "f1", "macro_f1"):
            assert flat.pop(name) == pytest.approx(scores[name])
        per_type = {f"f1_{ID2LABEL[label]}": own["f1"] for label, own in scores["per_type"].items()}
        assert {name: flat[name] for name in per_type} == pytest.approx(per_type)
        assert all(flat[name] == 0.0 for name in flat.keys() - per_type.keys())


def test_flat_spans_as_seqeval_scores_them():
    from seqeval.metrics import classification_report
    from seqeval.metrics.sequence_labeling import get_entities

    source = random.Random(0)
    tags = ["O", "O", "B-A", "I-A", "B-B", "I-B", "B-C", "I-C"]
    true = [source.choices(tags, k=source.randint(1, 20)) for _ in range(60)]
    found = [[tag if source.random() < 0.8 else source.choice(tags) for tag in row] for row in true]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = classification_report(true, found, output_dict=True, zero_division=0)
    scores = span_scores(*([get_entities(row) for row in rows] for rows in (found, true)))

    def names(prefix=""):
        return {f"{prefix}precision": "precision", f"{prefix}recall": "recall", f"{prefix}f1": "f1-score"}

    for label in "ABC":
        for ours, theirs in {**names(), "support": "support"}.items():
            assert scores["per_type"][label][ours] == pytest.approx(report[label][theirs])
    for ours, theirs in names().items():
        assert scores[ours] == pytest.approx(report["micro avg"][theirs])
    for ours, theirs in names("macro_").items():
        assert scores[ours] == pytest.approx(report["macro avg"][theirs])
    assert 0 < scores["f1"] < 1


def test_forms_of_spans_repeats_and_labels():
    tuples = [[("A", 0, 2), ("A", 0, 2), ("B", 1, 2)]]
    dicts = [[{"label": "A", "start": 0, "end": 2, "score": 0.5}, {"label": "B", "start": np.int64(1), "end": 2}]]
    assert span_scores(tuples, dicts)["f1"] == span_scores(dicts, tuples)["f1"] == 1.0
    assert span_scores(tuples, dicts)["support"] == 2
    some = span_scores(tuples, [[("A", 0, 2)]], labels=["A", "C"])
    assert (some["precision"], some["recall"], some["macro_f1"]) == (1.0, 1.0, 1.0)
    assert some["per_type"]["C"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert "B" not in some["per_type"]
    with pytest.raises(ValueError, match="as many texts as references, 2, got 1"):
        span_scores([[]], [[], []])


@pytest.mark.parametrize(
    ("predictions", "references", "expected"),
    [
        ([[]], [[]], (0.0, 0.0, 0.0)),
        ([[("A", 0, 1)]], [[]], (0.0, 0.0, 0.0)),
        ([[]], [[("A", 0, 1)]], (0.0, 0.0, 0.0)),
        # Each of label, start and end counts, and the text it is in.
        ([[("B", 0, 1)]], [[("A", 0, 1)]], (0.0, 0.0, 0.0)),
        ([[("A", 0, 1)]], [[("A", 0, 2)]], (0.0, 0.0, 0.0)),
        ([[("A", 0, 1)], []], [[], [("A", 0, 1)]], (0.0, 0.0, 0.0)),
        ([[("A", 0, 1), ("A", 2, 3)]], [[("A", 0, 1)]], (0.5, 1.0, 2 / 3)),
    ],
)
def test_zero_division_and_exactness(predictions, references, expected):
    scores = span_scores(predictions, references)
    assert (scores["precision"], scores["recall"], scores["f1"]) == pytest.approx(expected)


def test_trainer_metric_refuses_other_shapes():
    good = np.full((2, 3, 4), -1.0), np.full((2, 1, 3), -100)
    flat = span_compute_metrics(ID2LABEL)(EvalPrediction(predictions=good[0], label_ids=good[1]))
    assert set(flat) == {"precision", "recall", "f1", "macro_f1", "f1_A", "f1_B", "f1_C", "f1_D"}
    assert all(type(value) is float and value == 0.0 for value in flat.values())
    for predictions, labels, message in [
        (good[0][..., :3], good[1], r"predictions must be an array .*4\], got \(2, 3, 3\)"),
        (good[0], good[0], r"label_ids must be an array .*3\]"),
        (good, good[1], "predictions must be .* got tuple"),
        (good[0][:1], good[1], "as many rows"),
        (good[0] + 10, good[1], "labels from 0 to 3, the ids of id2label, got 9"),
    ]:
        with pytest.raises(ValueError, match=message):
            span_compute_metrics(ID2LABEL)(EvalPrediction(predictions=predictions, label_ids=labels))


def test_trainer_metric_keeps_long_positions_apart():
    # Positions beyond what a packed 16-bit key would hold.
    spans = np.array([[[0, 70000, 70001, 1.0]], [[1, 0, 140001, 1.0]]], dtype=np.float64)
    scores = span_compute_metrics(ID2LABEL)(
        EvalPrediction(predictions=spans, label_ids=spans[..., :3].astype(np.int64))
    )
    assert scores["f1"] == 1.0
    moved = spans[..., :3].astype(np.int64)
    moved[0, 0, 1] -= 1
    assert span_compute_metrics(ID2LABEL)(EvalPrediction(predictions=spans, label_ids=moved))["f1"] == 0.5


def test_ten_thousand_rows_by_the_slow_way():
    source = random.Random(0)
    references = [random_spans(source, 6, 4, 60) for _ in range(10_000)]
    predictions = [
        {span for span in spans if source.random() < 0.8} | random_spans(source, 1, 4, 60) for spans in references
    ]
    arrays = padded(predictions, 4, -1, 64), padded(references, 3, -100, 8)
    fast = span_compute_metrics(ID2LABEL)(EvalPrediction(predictions=arrays[0], label_ids=arrays[1]))
    assert fast["f1"] == pytest.approx(span_scores(predictions, references)["f1"])


@pytest.fixture
def texts():
    source = random.Random(5)
    return [
        [[(LABELS[label], start, end) for label, start, end in sorted(random_spans(source, 4))] for _ in range(9)]
        for _ in range(2)
    ]


def as_dicts(texts):
    return [[{"label": a, "start": b, "end": c, "score": 0.5, "text": "x"} for a, b, c in spans] for spans in texts]


@pytest.mark.parametrize("form", [list, as_dicts])
def test_evaluate_metric_by_all_its_ways(tmp_path, texts, form):
    predictions, references = map(form, texts)
    expected = span_scores(*texts)
    metric = SpanMetric(cache_dir=str(tmp_path))
    assert isinstance(metric, evaluate.Metric)
    assert metric.compute(predictions=predictions, references=references) == expected
    for first in range(0, 9, 4):
        batch = slice(first, first + 4)
        metric.add_batch(predictions=predictions[batch], references=references[batch])
    assert metric.compute() == expected
    for prediction, reference in zip(predictions, references):
        metric.add(prediction=prediction, reference=reference)
    assert metric.compute(labels=["A"]) == span_scores(*texts, labels=["A"])
    with pytest.raises(ValueError, match="Mismatch in the number"):
        metric.add_batch(predictions=predictions, references=references[:2])


def test_evaluate_metric_over_two_ranks(tmp_path, texts):
    predictions, references = texts

    def score(rank):
        metric = SpanMetric(num_process=2, process_id=rank, experiment_id="spans", cache_dir=str(tmp_path))
        metric.add_batch(predictions=predictions[rank::2], references=references[rank::2])
        return metric.compute()

    # The ranks meet at lock files only, so that threads do as well as processes.
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(score, (0, 1))) == [span_scores(predictions, references), None]
