"""GPLinker's three pointers: labelled spans, and links between their first and between their last tokens."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hf_ext.modules.global_pointer import EfficientGlobalPointer
from hf_ext.ops.precision import at_least_float32

Parts = tuple[Tensor, ...]


class Triple(NamedTuple):
    """One thing for each of the three pointers."""

    spans: Tensor
    heads: Tensor
    tails: Tensor


class LinkedPointers(nn.Module):
    """Labelled spans and the links between them (kexue.fm/archives/8888 and 8926).

    Two spans are linked where a cell of the second pointer holds for their first tokens and the same cell of the third
    for their last ones. These two have neither rotary positions nor, unless ``ordered``, the mask of the lower
    triangle: a subject may stand behind its object.

    Args:
        hidden_size: H.
        span_types: number of types C of spans.
        link_types: number of types P of links.
        head_size: D, even.
        ordered: links are undirected and stand at (the smaller, the larger position).
    """

    def __init__(self, hidden_size: int, span_types: int, link_types: int, head_size: int, ordered: bool) -> None:
        super().__init__()
        self.spans = EfficientGlobalPointer(hidden_size, span_types, head_size)
        self.heads = EfficientGlobalPointer(hidden_size, link_types, head_size, rope=False, ordered=ordered)
        self.tails = EfficientGlobalPointer(hidden_size, link_types, head_size, rope=False, ordered=ordered)

    @property
    def pointers(self) -> tuple[Any, ...]:
        """The pointers of spans, first tokens and last tokens."""
        return self.spans, self.heads, self.tails

    def project(self, hidden: Tensor) -> tuple[Parts, Parts, Parts]:
        """What each of the three scores are made of, from ``[B, L, H]``."""
        return self.spans.project(hidden), self.heads.project(hidden), self.tails.project(hidden)

    def scores(self, parts: tuple[Parts, Parts, Parts], hidden: Tensor, attention_mask: Tensor | None) -> Triple:
        """Scores ``[B, C, L, L]``, ``[B, P, L, L]`` and ``[B, P, L, L]``, -inf where no pair may stand."""
        pairs = zip(self.pointers, parts)
        return Triple(*(one.score(*part, one.allowed(hidden, attention_mask)) for one, part in pairs))

    def loss(self, parts: tuple[Parts, Parts, Parts], labels: Triple, attention_mask: Tensor | None) -> Tensor:
        """The originals' loss: summed over all types of the three pointers, averaged over rows.

        Args:
            parts: what `project` gives.
            labels: for each pointer integers ``[B, M, 3]`` of (label, first, second), padded with -100.
            attention_mask: ``[B, L]``, or None if all tokens are real.

        Returns:
            scalar, in float32 or better.
        """
        losses = (
            one.losses(*part, own, attention_mask, one.ordered).sum(1)
            for one, part, own in zip(self.pointers, parts, labels)
        )
        return torch.stack(list(losses)).sum(0).mean()


def link_scores(parts: Parts, rows: Tensor, columns: Tensor) -> Tensor:
    """Cells of efficient pointer scores of one text, without the table they stand in.

    Args:
        parts: query ``[L, D]``, key ``[L, D]``, start bias ``[L, C]`` and end bias ``[L, C]``.
        rows: ``[R]`` token positions.
        columns: ``[S]`` token positions.

    Returns:
        ``[C, R, S]``, in float32 or better.

    Raises:
        ValueError: if a score is NaN.
    """
    query, key, start, end = (at_least_float32(part) for part in parts)
    base = (query[rows] * query.shape[-1] ** -0.5) @ key[columns].mT
    scores = base + start[rows].mT.unsqueeze(-1) + end[columns].mT.unsqueeze(-2)
    if (wrong := scores.isnan()).any():
        link, row, column = wrong.nonzero()[0].tolist()
        raise ValueError(f"scores must not be NaN, got NaN for link {link} from token {rows[row]} to {columns[column]}")
    return scores
