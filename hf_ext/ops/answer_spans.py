"""The best spans of at most a given length, from tiles of their scores."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.graphs import in_graph

_STARTS = 64


@torch.no_grad()
def best_answer_spans(
    scores: Callable[[slice, slice], Tensor], allowed: Tensor, k: int, max_tokens: int
) -> tuple[Tensor, Tensor]:
    """The ``k`` spans that score highest in each row, and all of them summed up.

    Args:
        scores: gives the scores ``[B, R, S]`` of a slice of R starts and a slice of S ends, float32 or better.
        allowed: bool ``[B, L]``, where a span may begin and end.
        k: number of spans K to return a row.
        max_tokens: most tokens of a span.

    Returns:
        ``[B, K, 3]`` of (start, end, score), both inclusive, best first, (-1, -1, -inf) where a row has no more; and
        the logarithm of the sum of the exponentials of all spans' scores ``[B]``, -inf in a row without any.

    Raises:
        ValueError: if ``k`` or ``max_tokens`` is less than 1, or (outside of compiled graphs) a score is NaN.
    """
    for name, value in (("k", k), ("max_tokens", max_tokens)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    batch, length = allowed.shape
    place = torch.arange(length, device=allowed.device)
    best: list[Tensor] = []
    totals: list[Tensor] = []
    # A graph has no place for a number of tiles that only the length knows.
    parts = [(0, length)] if in_graph() else [(one, min(one + _STARTS, length)) for one in range(0, length, _STARTS)]
    for begin, stop in parts:
        starts = slice(begin, stop)
        ends = slice(begin, length if in_graph() else min(stop - 1 + max_tokens, length))
        gap = place[None, ends] - place[starts, None]
        inside = (gap >= 0) & (gap < max_tokens) & allowed[:, starts, None] & allowed[:, None, ends]
        tile = scores(starts, ends).masked_fill(~inside, -torch.inf)
        if not in_graph() and bool(tile.isnan().any()):
            row, start, end = (tile.isnan().nonzero()[0] + place.new_tensor([0, begin, begin])).tolist()
            raise ValueError(f"scores must not be NaN, got NaN in row {row} for the span from {start} to {end}")
        values, index = F.pad(tile.flatten(1), (0, k), value=-torch.inf).topk(k)
        width = tile.shape[2]
        found = torch.stack((index // width + begin, index % width + begin), -1).to(values.dtype)
        best.append(torch.cat((found, values.unsqueeze(-1)), -1))
        totals.append(tile.flatten(1).logsumexp(1))
    missing = torch.tensor([-1.0, -1.0, -torch.inf], device=allowed.device)
    # As many as are asked for, however short the rows are.
    spans = torch.cat([*best, missing.expand(batch, k, 3)], 1)
    order = spans[..., 2].argsort(dim=1, descending=True, stable=True)[:, :k]
    spans = spans.gather(1, order.unsqueeze(-1).expand(-1, -1, 3))
    spans = torch.where(spans[..., 2:] > -torch.inf, spans, missing.to(spans.dtype))
    if not totals:
        return spans, spans.new_full((batch,), -torch.inf)
    return spans, torch.stack(totals, 1).logsumexp(1)
