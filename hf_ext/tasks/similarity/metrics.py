"""Spearman's rank correlation, by which similarities are compared with what people say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def spearman(predictions: Any, references: Any) -> float:
    """Spearman's rank correlation of two sequences of as many numbers; equal numbers share their mean rank.

    Returns:
        A number in [-1, 1]; NaN where one of the two does not vary or has a NaN.

    Raises:
        ValueError: if they differ in shape or have more than one dimension.
    """
    predictions, references = np.asarray(predictions), np.asarray(references)
    if predictions.ndim != 1 or predictions.shape != references.shape:
        shapes = f"{list(predictions.shape)} and {list(references.shape)}"
        raise ValueError(f"predictions and references must both have shape [N], got {shapes}")
    first, second = _centred_ranks(predictions), _centred_ranks(references)
    norm = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / norm) if norm > 0 else float("nan")


def relative_ranks(values: Any) -> NDArray[Any]:
    """Where each of ``[N]`` numbers stands among them, from 0 for the least to 1; equal ones share their mean rank.

    Not numbers where one of them is none.
    """
    ranks = _centred_ranks(np.asarray(values))
    return ranks / max(1, len(ranks) - 1) + 0.5


def _centred_ranks(values: NDArray[Any]) -> NDArray[Any]:
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[Any] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks - (len(values) + 1) / 2
