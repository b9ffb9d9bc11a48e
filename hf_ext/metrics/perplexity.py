"""Perplexity and accuracy of a language model over all tokens of an evaluation, however they are batched.

Trainer's own ``eval_loss`` is a mean over batches, in which a token of a short batch counts for more.

Shapes: B batch, L tokens, V vocabulary.
"""

from math import exp
from typing import Any

import torch
from torch import Tensor, nn


def next_token_sums(logits: Any, labels: Tensor) -> Tensor:
    """What :func:`perplexity_metrics` needs of a batch: ``Trainer(preprocess_logits_for_metrics=next_token_sums)``.

    Args:
        logits: ``[B, L, V]``, or a tuple that begins with them.
        labels: ``[B, L]`` ids, not shifted, -100 where nothing is asked.

    Returns:
        ``[B, 3]`` float64: negative log-likelihood, number of tokens whose likeliest prediction is right, and number of
        tokens asked for.
    """
    return token_sums((logits[0] if isinstance(logits, tuple) else logits)[:, :-1], labels[:, 1:])


def token_sums(logits: Any, labels: Tensor) -> Tensor:
    """The same of a model whose logits are those of the token at their own place, as of masked tokens.

    Args:
        logits: ``[B, L, V]``, or a tuple that begins with them.
        labels: ``[B, L]`` ids, -100 where nothing is asked.

    Returns:
        ``[B, 3]`` float64, as of :func:`next_token_sums`.
    """
    logits = logits[0] if isinstance(logits, tuple) else logits
    asked = labels != -100
    # Row by row, and only what is asked for: the copy in float32 may be the largest tensor of the evaluation.
    losses = [
        nn.functional.cross_entropy(row[places].float(), own[places], reduction="sum")
        for row, own, places in zip(logits, labels, asked)
    ]
    right = ((logits.argmax(-1) == labels) & asked).sum(-1)
    return torch.stack([torch.stack(losses).double(), right.double(), asked.sum(-1).double()], dim=-1)


def perplexity_metrics(evaluation: Any) -> dict[str, float]:
    """``perplexity`` and ``accuracy`` of the next token, for ``Trainer(compute_metrics=...)``.

    Args:
        evaluation: its ``predictions`` ``[N, 3]`` are those of :func:`next_token_sums`.

    Raises:
        ValueError: if no token is asked for.
    """
    loss, right, asked = (float(total) for total in evaluation.predictions.sum(axis=0))
    if not asked:
        raise ValueError("labels must ask for at least one token, got -100 everywhere")
    try:
        perplexity = exp(loss / asked)
    except OverflowError:
        perplexity = float("inf")
    return {"perplexity": perplexity, "accuracy": right / asked}


def held_out_metrics(evaluation: Any) -> dict[str, float]:
    """Those of :func:`perplexity_metrics`, and ``held_out_loss``, the mean over all tokens that are asked for."""
    metrics = perplexity_metrics(evaluation)
    loss, _, asked = (float(total) for total in evaluation.predictions.sum(axis=0))
    return {"held_out_loss": loss / asked, **metrics}
