"""Scores of token spans, and the best of them (kexue.fm/archives/8373 and 8877; arXiv 2208.03054).

A score tensor is ``[B, C, L, L]``: row b, type c, start i, end j, both inclusive. It is float32 or better whatever the
type of the vectors, since a product of half-precision vectors overflows, and -inf where no span may stand.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.precision import at_least_float32


def span_mask(
    length: int,
    attention_mask: Tensor | None = None,
    ordered: bool = True,
    device: torch.device | str | None = None,
) -> Tensor:
    """Where a span may stand: both ends on real tokens and, if ``ordered``, the end not before the start.

    Args:
        length: number of tokens L.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: leave out the lower triangle.
        device: where to make the mask; that of ``attention_mask`` if there is one.

    Returns:
        bool ``[B or 1, L, L]``, True where allowed.
    """
    device = device if attention_mask is None else attention_mask.device
    allowed = torch.ones(1, length, length, dtype=torch.bool, device=device)
    if ordered:
        allowed = allowed.triu()
    if attention_mask is None:
        return allowed
    real = attention_mask.bool()
    return allowed & real[:, :, None] & real[:, None, :]


def pointer_scores(query: Tensor, key: Tensor, allowed: Tensor | None = None) -> Tensor:
    """GlobalPointer: ``s_c(i, j) = q_ci . k_cj / sqrt(D)``.

    Args:
        query: ``[B, L, C, D]``, start vectors.
        key: ``[B, L, C, D]``, end vectors.
        allowed: bool ``[B or 1, L, L]`` from `span_mask`; None allows all.

    Returns:
        ``[B, C, L, L]``. A masked score passes on the gradient it gets, which every loss here makes zero.
    """
    query = at_least_float32(query).transpose(1, 2) * query.shape[-1] ** -0.5
    with torch.autocast(query.device.type, enabled=False):
        scores = query @ at_least_float32(key).permute(0, 2, 3, 1)
    # Adding in place costs one pass over the scores and nothing in the backward pass; masked_fill costs two copies.
    return scores if allowed is None else scores.add_(_additive(allowed, scores.dtype).unsqueeze(1))


def efficient_pointer_scores(
    query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor, allowed: Tensor | None = None
) -> Tensor:
    """Efficient GlobalPointer: ``s_c(i, j) = q_i . k_j / sqrt(D) + start_ci + end_cj``.

    Args:
        query: ``[B, L, D]``.
        key: ``[B, L, D]``.
        start_bias: ``[B, L, C]``.
        end_bias: ``[B, L, C]``.
        allowed: bool ``[B or 1, L, L]`` from `span_mask`; None allows all.

    Returns:
        ``[B, C, L, L]``.
    """
    base = pointer_scores(query.unsqueeze(2), key.unsqueeze(2), allowed)
    # Contiguous, as their sum else has its types innermost.
    start, end = (at_least_float32(bias).mT.contiguous() for bias in (start_bias, end_bias))
    return (start.unsqueeze(-1) + end.unsqueeze(-2)).add_(base)


def top_spans(scores: Tensor, k: int, above: float = 0.0) -> Tensor:
    """The ``k`` spans that score highest in each row, best first; of equal ones those of lower (label, start, end).

    Args:
        scores: ``[B, C, L, L]``.
        k: number of spans K to return a row.
        above: spans must score more than this.

    Returns:
        float32 ``[B, K, 4]`` of (label, start, end, score); where a row has fewer spans, label, start and end are -1
        and the score is 0. The shape does not depend on L, so that batches and processes can be joined.

    Raises:
        ValueError: if ``k`` is less than 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    _, types, length, _ = scores.shape
    # The best K spans begin at the K starts whose best spans are best, so most of the tensor is never sorted. There are
    # K more without a span, so that there are K whatever the sizes, on which a graph must not depend.
    rows = scores.detach().flatten(1, 2)
    row = _first_largest(F.pad(rows.amax(-1), (0, k), value=-torch.inf), k)
    cells = rows.gather(1, row.clamp(max=types * length - 1).unsqueeze(-1).expand(-1, -1, length))
    cells = cells.masked_fill((row >= types * length).unsqueeze(-1), -torch.inf).flatten(1)
    index = _first_largest(cells, k)
    best, order = cells.gather(1, index).sort(dim=-1, descending=True, stable=True)
    index = index.gather(1, order)
    row = row.gather(1, index // length)
    spans = torch.stack((row // length, row % length, index % length, best), dim=-1).float()
    missing = spans.new_tensor([-1.0, -1.0, -1.0, 0.0])
    return torch.where(best.unsqueeze(-1) > above, spans, missing)


def _first_largest(x: Tensor, k: int) -> Tensor:
    """Indices ``[B, k]``, in order, of the k largest of ``x`` ``[B, n]``; of equal ones the first are taken."""
    x = x.masked_fill(x.isnan(), -torch.inf)
    least = x.topk(k).values[:, -1:]
    higher, equal = x > least, x == least
    taken = higher | (equal & (equal.cumsum(-1) <= k - higher.sum(-1, keepdim=True)))
    # What is not taken goes to one place more.
    place = torch.where(taken, taken.cumsum(-1) - 1, k)
    index = torch.arange(x.shape[1], device=x.device).expand_as(x)
    return index.new_zeros(x.shape[0], k + 1).scatter(1, place, index)[:, :k]


def _additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, -torch.inf)
