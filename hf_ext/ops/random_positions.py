"""Positions drawn for training, so that those of longer texts are no news (arXiv 2305.16843; kexue.fm/archives/9444).

Each row of a batch is drawn for itself, by PyTorch's global source of chance. Behind a row's tokens positions go on
growing by one. Shapes: B rows, L tokens of the longest row.
"""

import torch
from torch import Tensor

SCHEMES = ("subset", "equal_mean", "shift")


def random_positions(scheme: str, lengths: Tensor, width: int, top: int | None = None) -> Tensor:
    """Draw the positions of rows of some lengths.

    Args:
        scheme: ``"subset"``: as many of ``0 .. top - 1`` as a row has tokens, without replacement, sorted.
            ``"shift"``: whole numbers one after the other, from one drawn so that they end before ``top``.
            ``"equal_mean"``: evenly spread from 0 to an end drawn around the row's own length n: from the exponential
            distribution of that mean, or with a ``top``, ``top`` times a beta distribution with parameters 2 and
            ``2 (top / n - 1)``.
        lengths: ``[B]``, tokens of each row.
        width: number of columns L, at least the longest length.
        top: number of positions that there are; None under ``"equal_mean"`` alone.

    Returns:
        ``[B, width]``, of int64, and in float64 under ``"equal_mean"``.

    Raises:
        ValueError: for an unknown scheme, or a ``top`` that is missing or too small for a row.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {SCHEMES}, got {scheme!r}")
    longest = int(lengths.max()) if len(lengths) else 0
    if top is None and scheme != "equal_mean":
        raise ValueError(f"top must be given under scheme={scheme!r}, got None")
    if top is not None and top < longest + (scheme == "equal_mean"):
        raise ValueError(f"top must be {'above' if scheme == 'equal_mean' else 'at least'} {longest}, got {top}")
    rank = torch.arange(width)
    if scheme == "equal_mean":
        mean = lengths.double()
        if top is None:
            end = torch.empty_like(mean).exponential_() * mean
        else:
            alpha = torch.full_like(mean, 2.0)
            end = torch.distributions.Beta(alpha, alpha * (top / mean.clamp(min=1) - 1)).sample() * top
        return spread_positions(lengths, width, end)
    assert top is not None
    if scheme == "shift":
        first = (torch.rand(len(lengths), dtype=torch.float64) * (top - lengths + 1)).long()
        return first[:, None] + rank
    drawn = torch.rand(len(lengths), top).argsort(-1)[:, :longest]
    # What a shorter row has not drawn is sorted behind.
    drawn = drawn.masked_fill(rank[:longest] >= lengths[:, None], top).sort(-1).values
    drawn = torch.nn.functional.pad(drawn, (0, width - longest))
    last = drawn.gather(1, (lengths[:, None] - 1).clamp(min=0)) if width else drawn
    return torch.where(rank < lengths[:, None], drawn, last + rank - lengths[:, None] + 1)


def spread_positions(lengths: Tensor, width: int, end: Tensor | float) -> Tensor:
    """Positions evenly spread from 0 to an end, as for a test after training with ``"subset"``: ``end = top - 1``.

    Args:
        lengths: ``[B]``, tokens of each row.
        width: number of columns L.
        end: ``[B]`` or one for all, the position of a row's last token; of a row with one token it is 0.

    Returns:
        ``[B, width]`` in float64.
    """
    rank = torch.arange(width, dtype=torch.float64)
    end = torch.as_tensor(end, dtype=torch.float64).expand(len(lengths))[:, None]
    gaps = (lengths[:, None] - 1).double()
    positions = torch.where(gaps > 0, end * rank / gaps.clamp(min=1), 0.0)
    last = torch.where(gaps > 0, end, 0.0)
    return torch.where(rank < lengths[:, None], positions, last + rank - gaps)
