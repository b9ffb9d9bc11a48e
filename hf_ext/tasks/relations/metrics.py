"""Precision, recall and F1 of relations, complex objects included."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ext.metrics.exact_spans import exact_scores

if TYPE_CHECKING:
    from transformers import EvalPrediction


def relation_scores(
    predictions: Sequence[Iterable[Mapping[str, Any]]],
    references: Sequence[Iterable[Mapping[str, Any]]],
    predicates: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Score predicted relations: one counts when the strings of subject, object and every slot, and the predicate are
    right, as in DuIE 2.0; the same relation twice in a text counts once.

    Args:
        predictions: for each text relations ``{"predicate", "subject": {"text"}, "object": {"text"}, "slots":
            [{"name", "text"}]}``; slots may be left out.
        references: the same for the true relations.
        predicates: those to score, others are ignored; all that occur by default.

    Returns:
        As :func:`hf_ext.metrics.span_scores`, with predicates for types.

    Raises:
        ValueError: if the numbers of texts differ.
    """
    return exact_scores(
        [map(_triple, row) for row in predictions], [map(_triple, row) for row in references], predicates
    )


def compute_relation_metrics(eval_prediction: "EvalPrediction", id2label: Mapping[int, str]) -> dict[str, float]:
    """Score the token positions that a relation extraction head gives to ``Trainer``, rows as separate texts.

    Args:
        eval_prediction: ``predictions`` ``[N, K, 6]`` and ``label_ids`` ``[N, M, 5]`` of (predicate, subject's first
            token, its last, object's first, its last); rows with a negative predicate are padding.
        id2label: name of each link.

    Returns:
        ``precision``, ``recall``, ``f1`` and ``macro_f1`` of links.

    Raises:
        ValueError: if a shape is another.
    """
    tables = {"predictions": (eval_prediction.predictions, 6), "label_ids": (eval_prediction.label_ids, 5)}
    for name, (table, width) in tables.items():
        if not isinstance(table, np.ndarray) or table.ndim != 3 or table.shape[-1] != width:
            shape = getattr(table, "shape", type(table).__name__)
            raise ValueError(f"{name} must be an array [rows, relations, {width}], got {shape}")
    found, true = (
        [
            [(id2label[one[0]], tuple(one[1:])) for one in row[row[:, 0] >= 0][:, :5].astype(int).tolist()]
            for row in table
        ]
        for table, _ in tables.values()
    )
    scores = exact_scores(found, true)
    return {name: scores[name] for name in ("precision", "recall", "f1", "macro_f1")}


def relation_metrics(id2label: Mapping[int, str]) -> partial[dict[str, float]]:
    """:func:`compute_relation_metrics` with the labels given, as ``Trainer(compute_metrics=...)`` wants it."""
    return partial(compute_relation_metrics, id2label=dict(id2label))


def _triple(relation: Mapping[str, Any]) -> tuple[str, Hashable]:
    slots = frozenset((slot["name"], slot["text"]) for slot in relation.get("slots") or ())
    return relation["predicate"], (relation["subject"]["text"], relation["object"]["text"], slots)
