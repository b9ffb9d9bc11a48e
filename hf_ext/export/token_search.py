"""The texts that a model's scores of the next token make best, in NumPy, as Transformers' ``generate`` finds them.

Shapes: R beginnings of a text that are gone on with, V vocabulary.
"""

from typing import Protocol

import numpy as np

from hf_ext.export.best_spans import best_spans
from hf_ext.export.graph_session import Array
from hf_ext.export.writing_settings import WritingSettings


class TokenSearch(Protocol):
    """A text that is being written.

    Attributes:
        running: tokens of the beginnings ``[R, T]``.
        parents: which of the beginnings of before each comes from, ``[R]``.
    """

    running: Array
    parents: Array

    def take(self, logits: Array) -> bool:
        """Go on by the scores ``[R, V]`` of the next token; whether there is more to write."""

    def best(self) -> list[int]:
        """The tokens that were written, from the first on."""


def search_of(settings: WritingSettings) -> TokenSearch:
    """A search that has the first token alone."""
    return GreedySearch(settings) if settings.num_beams == 1 else BeamSearch(settings)


class GreedySearch:
    """Takes the likeliest token each time."""

    def __init__(self, settings: WritingSettings) -> None:
        self.settings = settings
        self.running, self.parents = np.full((1, 1), settings.start), np.zeros(1, np.int64)

    def take(self, logits: Array) -> bool:
        """As of `TokenSearch`.

        Raises:
            ValueError: if a score is NaN.
        """
        length = self.running.shape[1]
        ((_, _, token, _),) = best_spans(allowed_scores(logits, length, self.settings)[None], 1, -np.inf)
        self.running = np.append(self.running, [[int(token)]], 1)
        return int(token) not in self.settings.ends and length + 1 < self.settings.max_length

    def best(self) -> list[int]:
        """As of `TokenSearch`."""
        found: list[int] = self.running[0].tolist()
        return found


class BeamSearch:
    """Keeps some beginnings each time, whose tokens together are the likeliest."""

    def __init__(self, settings: WritingSettings) -> None:
        self.settings = settings
        self.running, self.parents = np.full((1, 1), settings.start), np.zeros(1, np.int64)
        self.scores = np.zeros(1, np.float32)
        self.finished: list[tuple[float, Array]] = []

    def take(self, logits: Array) -> bool:
        """As of `TokenSearch`.

        Raises:
            ValueError: if a score is NaN.
        """
        settings, length, beams = self.settings, self.running.shape[1], self.settings.num_beams
        chances = allowed_scores(_log_shares(logits.astype(np.float32)), length, settings)
        # Enough that as many go on, if all others end.
        most = beams * max(2, 1 + len(settings.ends))
        found = best_spans((chances + self.scores[:, None])[None], most, -np.inf)
        parents, tokens, scores = found[:, 1].astype(np.int64), found[:, 2].astype(np.int64), found[:, 3]
        rows = np.concatenate((self.running[parents], tokens[:, None]), 1)
        ended = np.isin(tokens, settings.ends) | (length + 1 >= settings.max_length)
        ends = np.flatnonzero(ended[:beams])
        self.finished += [(scores[place] / length**settings.length_penalty, rows[place]) for place in ends]
        self.finished = sorted(self.finished, key=lambda one: -one[0])[:beams]
        kept = np.flatnonzero(~ended)[:beams]
        self.running, self.parents, self.scores = rows[kept], parents[kept], scores[kept].astype(np.float32)
        return bool(len(kept)) and self._may_improve(length)

    def best(self) -> list[int]:
        """As of `TokenSearch`."""
        found: list[int] = self.finished[0][1].tolist()
        return found

    def _may_improve(self, length: int) -> bool:
        """Whether what is running may be better than what is finished, of so many tokens without the first."""
        settings = self.settings
        if len(self.finished) < settings.num_beams:
            return True
        if settings.early_stopping is True:
            return False
        if settings.early_stopping == "never" and settings.length_penalty > 0:
            length = settings.max_length - 1
        return bool(self.scores[0] / length**settings.length_penalty > self.finished[-1][0])


def allowed_scores(scores: Array, length: int, settings: WritingSettings) -> Array:
    """The scores ``[R, V]``, -inf of tokens that are never written, and of those that end a text that is too short."""
    barred = [*settings.suppressed, *(settings.ends if length < settings.min_length else ())]
    if not barred:
        return scores
    scores = scores.copy()
    scores[:, barred] = -np.inf
    return scores


def _log_shares(scores: Array) -> Array:
    """The logarithms of the shares of the scores ``[R, V]``."""
    shifted = scores - scores.max(1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found
