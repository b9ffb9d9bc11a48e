"""The losses of the pointers written out on dense scores and dense labels: the readable twins of the fused ones."""

import torch
from torch import Tensor

from hf_ext.ops.logsumexp import log_one_plus_sum_exp
from hf_ext.ops.pointer import efficient_pointer_scores, pointer_scores, span_mask


def naive_pointer_loss(
    query: Tensor, key: Tensor, labels: Tensor, attention_mask: Tensor | None = None, ordered: bool = True
) -> Tensor:
    """As :func:`hf_ext.ops.pointer_loss.pointer_loss`, in memory ``[B, C, L, L]``."""
    allowed = span_mask(query.shape[1], attention_mask, ordered, query.device)
    return dense_span_losses(pointer_scores(query, key, allowed), labels)


def naive_efficient_pointer_loss(
    query: Tensor,
    key: Tensor,
    start_bias: Tensor,
    end_bias: Tensor,
    labels: Tensor,
    attention_mask: Tensor | None = None,
    ordered: bool = True,
) -> Tensor:
    """As :func:`hf_ext.ops.pointer_loss.efficient_pointer_loss`, in memory ``[B, C, L, L]``."""
    allowed = span_mask(query.shape[1], attention_mask, ordered, query.device)
    return dense_span_losses(efficient_pointer_scores(query, key, start_bias, end_bias, allowed), labels)


def dense_span_losses(scores: Tensor, labels: Tensor) -> Tensor:
    """``log(1 + sum over other spans of e^s) + log(1 + sum over labelled spans of e^-s)``, ``[B, C]``.

    Args:
        scores: ``[B, C, L, L]``, -inf where no span may stand.
        labels: integers ``[B, M, 3]`` of (label, start, end), padded with -100.
    """
    batch, types, length, _ = scores.shape
    label, start, end = labels.long().unbind(-1)
    # One cell more takes what is padding.
    cell = (((label * length + start) * length) + end).masked_fill(label == -100, types * length**2)
    labelled = torch.zeros(batch, types * length**2 + 1, dtype=torch.bool, device=scores.device)
    labelled = labelled.scatter(1, cell, True)[:, :-1].view(batch, types, -1)
    flat = scores.flatten(2)
    negatives, positives = flat.masked_fill(labelled, -torch.inf), (-flat).masked_fill(~labelled, -torch.inf)
    return log_one_plus_sum_exp(negatives) + log_one_plus_sum_exp(positives)
