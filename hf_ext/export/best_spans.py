"""The best cells of tables of scores, in NumPy: what :mod:`hf_ext.ops` finds with PyTorch."""

import numpy as np

from hf_ext.export.graph_session import Array


def best_spans(scores: Array, most: int, above: float) -> Array:
    """The cells that score highest, best first; of equal ones those of lower places.

    Args:
        scores: ``[C, R, S]``.
        most: cells to give.
        above: they must score more than this.

    Returns:
        float64 ``[n, 4]`` of (the three places of a cell, its score).

    Raises:
        ValueError: if a score is NaN.
    """
    if scores.size and np.isnan(scores.max()):
        raise ValueError("scores must be numbers, got NaN")
    flat = scores.ravel()
    (cells,) = np.nonzero(flat > above)
    values = flat[cells]
    if len(cells) > most:
        kept = values >= np.partition(values, -most)[-most]
        cells, values = cells[kept], values[kept]
    order = np.argsort(-values, kind="stable")[:most]
    return np.stack([*np.unravel_index(cells[order], scores.shape), values[order]], axis=1).astype(np.float64)


def best_answers(table: Array, context: Array, most: int, longest: int, is_share: bool) -> tuple[Array, float]:
    """The best answers of a row and the score of its having none, as of the head of reading comprehension.

    Args:
        table: scores ``[L, L]`` of spans, that of (0, 0) of no answer.
        context: bool ``[L]``, where an answer may begin and end.
        most: answers to give.
        longest: tokens of an answer.
        is_share: whether scores become logarithms of shares of all of them.

    Returns:
        ``[n, 3]`` of (start, end, score), and the score.
    """
    places = np.arange(len(context))
    gap = places[None, :] - places[:, None]
    inside = (gap >= 0) & (gap < longest) & context[:, None] & context
    scores = np.where(inside, table, -np.inf)
    found = best_spans(scores[None], most, -np.inf)[:, 1:]
    none = float(table[0, 0])
    if not is_share:
        return found, none
    peak = max(none, float(scores.max()))
    total = peak + float(np.log(np.exp(scores - peak, dtype=np.float64).sum() + np.exp(none - peak)))
    found[:, 2] -= total
    return found, none - total


def sigmoid(scores: Array) -> Array:
    """The logistic function."""
    return 0.5 * (1 + np.tanh(0.5 * scores))


def with_probabilities(table: Array) -> list[list[float]]:
    """Predictions ``[n, W]``, whose last column is a score, with the logistic function of it."""
    return np.concatenate((table[:, :-1], sigmoid(table[:, -1:])), axis=1).tolist()
