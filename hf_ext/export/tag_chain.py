"""The best sequence of tags and how sure each of them is, in NumPy: what :mod:`hf_ext.ops.crf` finds with PyTorch.

Shapes: B rows, L tokens, K tags, N the most tokens of a row that get a tag.
"""

import numpy as np

from hf_ext.export.graph_session import Array


class TagChain:
    """Sequences of tags over rows, whose scores add up.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``, from the first tag to the second.
        start: ``[K]``.
        end: ``[K]``.
        mask: bool ``[B, L]``, which tokens get a tag, anywhere in a row.

    Raises:
        ValueError: if an emission of such a token is NaN or +inf.
    """

    def __init__(self, emissions: Array, transitions: Array, start: Array, end: Array, mask: Array) -> None:
        if not (emissions[mask] < np.inf).all():
            raise ValueError("emissions must be numbers or -inf, got NaN or +inf")
        self.mask = mask
        self.lengths = mask.sum(1)
        most = int(self.lengths.max(initial=0))
        # Those that count first, in their order.
        self.places = np.argsort(~mask, axis=1, kind="stable")[:, :most]
        self.there = np.arange(most) < self.lengths[:, None]
        own = np.take_along_axis(emissions, self.places[..., None], 1).astype(np.float64)
        self.local = np.where(self.there[..., None], own, 0.0)
        self.transitions, self.start, self.end = (each.astype(np.float64) for each in (transitions, start, end))

    def best(self) -> Array:
        """The tags ``[B, L]`` of the sequence that scores highest, -100 where a token has none (Viterbi)."""
        found = np.full(self.mask.shape, -100)
        if not self.places.shape[1]:
            return found
        state = self.local[:, 0] + self.start
        stay = np.broadcast_to(np.arange(len(self.start)), state.shape)
        pointers = []
        for step in range(1, self.places.shape[1]):
            ways = state[:, :, None] + self.transitions
            goes_on = self.there[:, step, None]
            state = np.where(goes_on, ways.max(1) + self.local[:, step], state)
            pointers.append(np.where(goes_on, ways.argmax(1), stay))
        tag = (state + self.end).argmax(1)
        path = [tag]
        for pointer in reversed(pointers):
            tag = np.take_along_axis(pointer, tag[:, None], 1)[:, 0]
            path.append(tag)
        tags = np.where(self.there, np.stack(path[::-1], 1), -100)
        np.put_along_axis(found, self.places, tags, 1)
        return found

    def chances(self, tags: Array) -> Array:
        """The probability ``[B, L]`` of each of the tags ``[B, L]``, over all sequences; 0 where there is none."""
        found = np.zeros(self.mask.shape)
        count = self.places.shape[1]
        if not count:
            return found
        forward, backward = np.empty_like(self.local), np.empty_like(self.local)
        forward[:, 0] = self.local[:, 0] + self.start
        for step in range(1, count):
            reached = _log_sum(forward[:, step - 1, :, None] + self.transitions, 1) + self.local[:, step]
            forward[:, step] = np.where(self.there[:, step, None], reached, forward[:, step - 1])
        backward[:, -1] = self.end
        for step in range(count - 2, -1, -1):
            behind = self.transitions + (self.local[:, step + 1] + backward[:, step + 1])[:, None]
            backward[:, step] = np.where(self.there[:, step + 1, None], _log_sum(behind, 2), self.end)
        total = _log_sum(forward[:, -1] + self.end, 1)[:, None]
        own = np.take_along_axis(tags, self.places, 1).clip(0)[..., None]
        chosen = np.take_along_axis(forward + backward, own, 2)[..., 0]
        np.put_along_axis(found, self.places, np.where(self.there, np.exp(chosen - total), 0.0), 1)
        return found


def _log_sum(scores: Array, axis: int) -> Array:
    peak = scores.max(axis, keepdims=True)
    # Of nothing but -inf there is no difference to the highest.
    peak = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(scores - peak).sum(axis)) + peak.squeeze(axis)
