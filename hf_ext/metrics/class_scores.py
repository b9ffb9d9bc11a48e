"""Scores of what is classified, texts or images, with one class each or any number."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ext.metrics.exact_spans import span_scores
from hf_ext.ops.logit import logit

if TYPE_CHECKING:
    from transformers import EvalPrediction


def classification_scores(
    predictions: Sequence[Iterable[str]], references: Sequence[Iterable[str]], labels: Sequence[str] | None = None
) -> dict[str, Any]:
    """Score the classes of texts. A ratio with the denominator 0 is 0.

    Args:
        predictions: for each text its predicted classes.
        references: for each text its true classes.
        labels: the classes to list; all that occur by default.

    Returns:
        ``accuracy``, the part of the texts with exactly the right classes; ``precision``, ``recall``, ``f1`` and
        ``support`` over all (the micro average; for one class each, all three are the accuracy);
        ``macro_precision``, ``macro_recall`` and ``macro_f1`` over the classes that occur; and ``per_type``, the scores
        of each class.

    Raises:
        ValueError: if the numbers of texts differ or are 0.
    """
    found, true = ([set(classes) for classes in each] for each in (predictions, references))
    if not true or len(found) != len(true):
        raise ValueError(f"predictions must be for as many texts as references, got {len(found)} and {len(true)}")
    exact = sum(a == b for a, b in zip(found, true)) / len(true)
    # A class is a span whose place is always right.
    found_spans, true_spans = ([[(label, 0, 0) for label in classes] for classes in each] for each in (found, true))
    return {"accuracy": exact, **span_scores(found_spans, true_spans, labels)}


def predicted_classes(
    logits: Any, id2label: Mapping[int, str], multi_label: bool, threshold: float = 0.5
) -> list[list[str]]:
    """The classes that ``logits`` ``[N, C]`` say: the greatest, or with ``multi_label`` all that have the probability.

    Args:
        logits: ``[N, C]``.
        id2label: name of each class.
        multi_label: whether a text has any number of classes.
        threshold: in [0, 1); the logistic function of a predicted class's logit is above this.
    """
    logits = np.asarray(logits)
    if logits.ndim != 2 or logits.shape[1] != len(id2label):
        raise ValueError(f"logits must have shape [N, {len(id2label)}], got {list(logits.shape)}")
    if not multi_label:
        return [[id2label[int(index)]] for index in logits.argmax(-1)]
    return [[id2label[int(index)] for index in np.flatnonzero(row > logit(threshold))] for row in logits]


def class_predictions(logits: Any, id2label: Mapping[int, str]) -> list[dict[str, Any]]:
    """The class that each row of ``logits`` ``[N, C]`` says, ``{"label", "logits": {class: logit}}``."""
    (*classes,) = (own for own, *_ in predicted_classes(logits, id2label, multi_label=False))
    return [
        {"label": label, "logits": {name: float(row[index]) for index, name in id2label.items()}}
        for label, row in zip(classes, np.asarray(logits))
    ]


def class_probabilities(logits: Any, multi_label: bool) -> Any:
    """What ``logits`` ``[N, C]`` say of each class, in [0, 1]: a softmax, or with ``multi_label`` sigmoids."""
    logits = np.asarray(logits, dtype=np.float64)
    if multi_label:
        return 0.5 * (1 + np.tanh(0.5 * logits))
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def scores_of_prediction(
    prediction: Any, id2label: Mapping[int, str], multi_label: bool, threshold: float = 0.5
) -> dict[str, Any]:
    """`classification_scores` of what ``Trainer.predict`` gives.

    Args:
        prediction: ``predictions``, logits ``[N, C]``, and ``label_ids``, class ids ``[N]`` or ``[N, C]`` of 0 and 1.
        id2label: name of each class.
        multi_label: whether a text has any number of classes.
        threshold: as in `predicted_classes`.
    """
    true = np.asarray(prediction.label_ids)
    # One class for each text as a row with one positive.
    rows = true if multi_label else np.where(np.arange(len(id2label)) == true[:, None], 1, -1)
    references = predicted_classes(rows, id2label, multi_label)
    found = predicted_classes(prediction.predictions, id2label, multi_label, threshold)
    return classification_scores(found, references, list(id2label.values()))


def classification_compute_metrics(
    id2label: Mapping[int, str], multi_label: bool, threshold: float = 0.5
) -> partial[dict[str, float]]:
    """What ``Trainer(compute_metrics=...)`` takes for a classifier.

    It gives ``accuracy``, ``precision``, ``recall``, ``f1`` and ``macro_f1`` of :func:`scores_of_prediction`.

    Args:
        id2label: name of each class.
        multi_label: whether a text has any number of classes.
        threshold: as in `predicted_classes`.
    """
    return partial(_classification_metrics, id2label=dict(id2label), multi_label=multi_label, threshold=threshold)


def _classification_metrics(
    eval_prediction: "EvalPrediction", id2label: Mapping[int, str], multi_label: bool, threshold: float
) -> dict[str, float]:
    scores = scores_of_prediction(eval_prediction, id2label, multi_label, threshold)
    return {name: scores[name] for name in ("accuracy", "precision", "recall", "f1", "macro_f1")}
