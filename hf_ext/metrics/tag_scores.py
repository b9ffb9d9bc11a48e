"""Exact span scores of predicted tags, for Trainer."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from hf_ext.data.tag_schemes import tags_to_spans
from hf_ext.metrics.exact_spans import span_scores

if TYPE_CHECKING:
    from transformers import EvalPrediction


def tag_compute_metrics(id2label: Mapping[int, str]) -> partial[dict[str, float]]:
    """What ``Trainer(compute_metrics=...)`` takes for a sequence labelling head; rows are scored as separate texts.

    It takes ``predictions`` and ``label_ids``, tag ids ``[N, L]``, those of tokens without a label ignored. It gives
    ``precision``, ``recall``, ``f1``, ``macro_f1`` as in :func:`hf_ext.metrics.span_scores`, ``f1_<label>`` for each
    label, and ``accuracy`` of tokens, and raises ValueError if the shapes differ.

    Args:
        id2label: tag of each id.
    """
    return partial(_tag_metrics, id2label=dict(id2label))


def _tag_metrics(eval_prediction: "EvalPrediction", id2label: Mapping[int, str]) -> dict[str, float]:
    predictions, label_ids = eval_prediction.predictions, eval_prediction.label_ids
    if getattr(predictions, "shape", None) != getattr(label_ids, "shape", None):
        raise ValueError("predictions must be tags of the shape of label_ids")
    spans: tuple[list[list[tuple[str, int, int]]], list[list[tuple[str, int, int]]]] = ([], [])
    right = total = 0
    for found, true in zip(predictions, label_ids):
        kept = true >= 0
        right += int((found[kept] == true[kept]).sum())
        total += int(kept.sum())
        for tags, all_spans in zip((found[kept], true[kept]), spans):
            all_spans.append(tags_to_spans([id2label[int(tag)] for tag in tags]))
    scores = span_scores(*spans)
    per_type = {f"f1_{name}": each["f1"] for name, each in scores["per_type"].items()}
    kept_scores = {name: scores[name] for name in ("precision", "recall", "f1", "macro_f1")}
    return {**kept_scores, "accuracy": right / total if total else 0.0, **per_type}
