"""Texts that are drawn token by token by a model's scores, in NumPy.

Shapes: R beginnings of texts that are gone on with, V vocabulary.
"""

import numpy as np

from hf_ext.export.drawing_settings import DrawingSettings
from hf_ext.export.graph_session import Array
from hf_ext.export.token_search import allowed_scores


class DrawnTexts:
    """Samples of what follows a prompt, which are written together; a `TokenSearch`.

    Args:
        settings: how they are drawn.
        random: to draw with.

    Attributes:
        finished: the tokens of those that have ended, from the first on.
    """

    def __init__(self, settings: DrawingSettings, random: np.random.Generator) -> None:
        self.settings, self.random = settings, random
        self.running, self.parents = np.full((1, 1), settings.start), np.zeros(1, np.int64)
        self.finished: list[list[int]] = []

    def take(self, logits: Array) -> bool:
        """As of `TokenSearch`.

        Raises:
            ValueError: if a score is NaN.
        """
        settings, length = self.settings, self.running.shape[1]
        scores = allowed_scores(logits, length, settings).astype(np.float64) / settings.temperature
        sums = shares_of_likeliest(scores, settings.top_p).cumsum(-1)
        # All begin with the prompt.
        parents = np.arange(len(sums)) if length > 1 else np.zeros(settings.num_samples, np.int64)
        totals = sums[:, -1][parents]
        drawn = np.minimum(self.random.random(len(parents)) * totals, np.nextafter(totals, 0))
        tokens = np.array([sums[row].searchsorted(one, "right") for row, one in zip(parents, drawn)])
        rows = np.concatenate((self.running[parents], tokens[:, None]), 1)
        ended = np.isin(tokens, settings.ends) | (length + 1 >= settings.max_length)
        self.finished += rows[ended].tolist()
        self.running, self.parents = rows[~ended], parents[~ended]
        return len(self.running) > 0

    def best(self) -> list[int]:
        """The tokens of the first to end."""
        return self.finished[0]


def shares_of_likeliest(scores: Array, top_p: float) -> Array:
    """The shares ``[R, V]`` of the likeliest tokens, which have ``top_p`` together or more; 0 of the others.

    Args:
        scores: ``[R, V]``.
        top_p: in (0, 1]; one token is left at least.

    Raises:
        ValueError: if a score is NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("scores must be numbers, got NaN")
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    order = shares.argsort(-1)
    ordered = np.take_along_axis(shares, order, -1)
    left_out = ordered.cumsum(-1) <= 1 - top_p
    left_out[:, -1] = False
    np.put_along_axis(shares, order, np.where(left_out, 0, ordered), -1)
    found: Array = shares / shares.sum(-1, keepdims=True)
    return found
