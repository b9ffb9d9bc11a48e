"""Precision, recall and F1 of relations, complex objects included."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from hf_ext.metrics.exact_spans import exact_scores, token_tables

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
        [map(relation_key, row) for row in predictions], [map(relation_key, row) for row in references], predicates
    )


def relation_compute_metrics(id2label: Mapping[int, str]) -> partial[dict[str, float]]:
    """What ``Trainer(compute_metrics=...)`` takes for a relation extraction head, rows as separate texts.

    It takes ``predictions`` ``[N, K, 6]`` and ``label_ids`` ``[N, M, 5]`` of (predicate, subject's first token, its
    last, object's first, its last), a score last; rows with a negative predicate are padding. It gives ``precision``,
    ``recall``, ``f1`` and ``macro_f1`` of links, and raises ValueError if a shape is another, the numbers of rows
    differ, or a predicate has no name.

    Args:
        id2label: name of each link.
    """
    return partial(_relation_metrics, id2label=dict(id2label))


def _relation_metrics(eval_prediction: "EvalPrediction", id2label: Mapping[int, str]) -> dict[str, float]:
    sides: list[list[list[tuple[str, Hashable]]]] = []
    for table in token_tables(eval_prediction, 5, "relations", id2label):
        links: list[list[tuple[str, Hashable]]] = [[] for _ in eval_prediction.label_ids]
        for row, predicate, *tokens in table.tolist():
            links[row].append((id2label[predicate], tuple(tokens)))
        sides.append(links)
    scores = exact_scores(sides[0], sides[1])
    return {name: scores[name] for name in ("precision", "recall", "f1", "macro_f1")}


def relation_key(relation: Mapping[str, Any]) -> tuple[str, Hashable]:
    """Predicate and strings of a relation: what is right if it is equal."""
    slots = frozenset((slot["name"], slot["text"]) for slot in relation.get("slots") or ())
    return relation["predicate"], (relation["subject"]["text"], relation["object"]["text"], slots)
