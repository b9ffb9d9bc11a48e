"""Which form of the pointers' loss runs: by number and range of the scores, device, and whether a graph is compiled."""

import os
from importlib.util import find_spec

import torch
from torch import Tensor

from hf_ext.ops import pointer_tiles
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.pointer_loss.bilinear import bilinear_sums
from hf_ext.ops.pointer_loss.fused import pointer_sums
from hf_ext.ops.pointer_loss.labels import check_span_labels, group_log_one_plus_sum_exp, labelled_cells
from hf_ext.ops.pointer_loss.naive import naive_efficient_pointer_loss, naive_pointer_loss
from hf_ext.ops.pointer_tiles import Tiling, few_scores
from hf_ext.ops.precision import at_least_float32

# Up to these magnitudes of the scores a sum of 2^40 exponentials does not overflow, and a term that is 0 does not show
# beside 1.
_RANGE = {torch.float32: 60.0, torch.float64: 600.0}


def pointer_loss(
    query: Tensor, key: Tensor, labels: Tensor, attention_mask: Tensor | None = None, ordered: bool = True
) -> Tensor:
    """Multi-label softmax cross-entropy of GlobalPointer's scores ``q_ci . k_cj / sqrt(D)`` (kexue.fm/archives/8373).

    For the backward pass nothing is kept but the arguments and ``[B, C]`` sums; at no time are there more scores than
    a tile of constant size. Where there are few scores in all (up to 4 million) they are kept, as that is
    faster. In a compiled graph the readable form runs, in memory ``[B, C, L, L]``.

    Args:
        query: ``[B, L, C, D]``, start vectors.
        key: ``[B, L, C, D]``, end vectors.
        labels: integers ``[B, M, 3]`` of (label, start, end), both ends inclusive, padded with -100; M may be 0. A span
            given twice counts once.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.

    Returns:
        ``[B, C]`` in float32 or better.

    Raises:
        ValueError: if sizes do not fit, a label is not among the types or its span not on real tokens, or, on the CPU,
            a score is NaN.
    """
    _check(query, key, None, None, attention_mask)
    batch, length, types, size = query.shape
    check_span_labels(labels, types, (batch, length), attention_mask, ordered)
    if in_graph():
        return naive_pointer_loss(query, key, labels, attention_mask, ordered)
    if few_scores((batch, types, length), pointer_tiles.DENSE):
        starts, ends = _without_padding(attention_mask, query, key)
        losses = naive_pointer_loss(starts, ends, labels, attention_mask, ordered)
    else:
        cells = labelled_cells(labels, types, length)
        losses = _pointer_loss(query, key, cells, attention_mask, ordered, size**-0.5)
    _refuse_nan(losses, attention_mask, query=query, key=key)
    return losses


def efficient_pointer_loss(
    query: Tensor,
    key: Tensor,
    start_bias: Tensor,
    end_bias: Tensor,
    labels: Tensor,
    attention_mask: Tensor | None = None,
    ordered: bool = True,
) -> Tensor:
    """As :func:`pointer_loss` of the scores ``q_i . k_j / sqrt(D) + start_ci + end_cj`` (kexue.fm/archives/8877).

    The types share the products, so the sum over spans of e^score is a bilinear form in the exponentials of the biases,
    whose cost hardly depends on C. Cells that carry a label of any type are left out of it and their other types
    added one by one, so that no sum is the difference of two larger ones. Where scores may be too far apart for
    float64, each type gets vectors of its own.

    Args:
        query: ``[B, L, D]``.
        key: ``[B, L, D]``.
        start_bias: ``[B, L, C]``.
        end_bias: ``[B, L, C]``.
        labels: as in :func:`pointer_loss`.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.

    Returns:
        ``[B, C]`` in float32 or better.

    Raises:
        ValueError: as :func:`pointer_loss`.
    """
    _check(query, key, start_bias, end_bias, attention_mask)
    batch, length, types = start_bias.shape
    check_span_labels(labels, types, (batch, length), attention_mask, ordered)
    if in_graph():
        return naive_efficient_pointer_loss(query, key, start_bias, end_bias, labels, attention_mask, ordered)
    if few_scores((batch, types, length), pointer_tiles.DENSE):
        starts, ends, first, last = _without_padding(attention_mask, query, key, start_bias, end_bias)
        losses = naive_efficient_pointer_loss(starts, ends, first, last, labels, attention_mask, ordered)
    else:
        cells = labelled_cells(labels, types, length)
        dtype = _bilinear_type(query, key, start_bias, end_bias, attention_mask)
        if dtype is None:
            vectors = _with_biases(query, key, start_bias, end_bias)
            losses = _pointer_loss(*vectors, cells, attention_mask, ordered, 1.0)
        else:
            losses = _bilinear_loss(query, key, start_bias, end_bias, cells, attention_mask, ordered, dtype)
    _refuse_nan(losses, attention_mask, query=query, key=key, start_bias=start_bias, end_bias=end_bias)
    return losses


def _pointer_loss(
    query: Tensor, key: Tensor, cells: Tensor, attention_mask: Tensor | None, ordered: bool, scale: float
) -> Tensor:
    batch, length, types, _ = query.shape
    if fits_triton(query, key):
        from hf_ext.ops.pointer_loss.triton import triton_pointer_sums

        cells = cells.to(query.device)
        negative, chosen = triton_pointer_sums(query, key, cells, attention_mask, ordered, scale)
    else:
        tiling = Tiling((batch, types, length), query.device, attention_mask, ordered, cells)
        cells = tiling.cells
        negative, chosen = pointer_sums(query, key, tiling, attention_mask, scale)
    row, type_, _, _ = cells.unbind(-1)
    return negative + group_log_one_plus_sum_exp(-chosen, row * types + type_, batch * types).view(batch, types)


def fits_triton(query: Tensor, key: Tensor) -> bool:
    """Whether the kernel is asked for (``HF_EXT_TRITON=1``) and takes these inputs, on an NVIDIA GPU with bfloat16.

    It has agreed with its twin in Triton's interpreter, and not yet been run on a GPU by its authors: until then it
    runs for those alone who ask.
    """
    return (
        os.environ.get("HF_EXT_TRITON") == "1"
        and query.device.type == "cuda"
        and query.dtype == key.dtype
        and query.dtype in (torch.float32, torch.float16, torch.bfloat16)
        and query.shape[-1] <= 128
        and find_spec("triton") is not None
        and torch.version.hip is None
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def _bilinear_loss(
    query: Tensor,
    key: Tensor,
    start_bias: Tensor,
    end_bias: Tensor,
    cells: Tensor,
    attention_mask: Tensor | None,
    ordered: bool,
    dtype: torch.dtype,
) -> Tensor:
    batch, length, types = start_bias.shape
    places, slot = (cells * torch.tensor([1, 0, 1, 1])).unique(dim=0, return_inverse=True)
    positive = torch.zeros(len(places), types, dtype=torch.bool)
    positive[slot, cells[:, 1]] = True
    tiling = Tiling((batch, 1, length), query.device, attention_mask, ordered, places)
    negative = bilinear_sums(query, key, start_bias, end_bias, tiling, attention_mask, dtype)

    places, positive = places.to(query.device), positive.to(query.device)
    row, _, start, end = places.unbind(-1)
    starts, ends = at_least_float32(query)[row, start], at_least_float32(key)[row, end]
    products = (starts * ends).sum(-1, keepdim=True) * query.shape[-1] ** -0.5
    chosen = products + at_least_float32(start_bias)[row, start] + at_least_float32(end_bias)[row, end]
    others = (chosen - negative[row]).masked_fill(positive, -torch.inf)
    negative = negative + group_log_one_plus_sum_exp(others, row, batch)
    return negative + group_log_one_plus_sum_exp((-chosen).masked_fill(~positive, -torch.inf), row, batch)


@torch.no_grad()
def _bilinear_type(
    query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor, attention_mask: Tensor | None
) -> torch.dtype | None:
    """The smallest type whose range holds every score, by the Cauchy-Schwarz inequality; None if there is none."""
    if query.numel() == 0 or start_bias.numel() == 0:
        return torch.promote_types(query.dtype, torch.float32)
    vectors, biases = (
        (at_least_float32(query).norm(dim=-1), at_least_float32(key).norm(dim=-1)),
        (at_least_float32(start_bias), at_least_float32(end_bias)),
    )
    sizes = torch.stack((*vectors, *(bias.abs().amax(-1) for bias in biases)))
    if attention_mask is not None:
        sizes = sizes.masked_fill(~attention_mask.bool(), 0)
    first, last, start, end = sizes.flatten(1).amax(-1).tolist()
    bound = first * last * query.shape[-1] ** -0.5 + start + end
    for dtype, limit in _RANGE.items():
        # Apple's MPS has no float64.
        there = dtype == torch.float32 or query.device.type != "mps"
        if bound <= limit and there and torch.promote_types(dtype, query.dtype) == dtype:
            return dtype
    return None


def _without_padding(attention_mask: Tensor | None, *parts: Tensor) -> tuple[Tensor, ...]:
    """``parts`` ``[B, L, ...]`` with 0 at padding, where NaN would make others' gradients NaN."""
    if attention_mask is None:
        return parts
    padding = ~attention_mask.to(parts[0].device).bool()
    return tuple(part.masked_fill(padding.view(*padding.shape, *[1] * (part.ndim - 2)), 0) for part in parts)


def _with_biases(query: Tensor, key: Tensor, start_bias: Tensor, end_bias: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors ``[B, L, C, D + 2]`` whose products are the scores."""
    start, end = at_least_float32(start_bias).unsqueeze(-1), at_least_float32(end_bias).unsqueeze(-1)
    shape = (*start_bias.shape, query.shape[-1])
    query, key = at_least_float32(query) * query.shape[-1] ** -0.5, at_least_float32(key)
    query, key = query.unsqueeze(2).expand(shape), key.unsqueeze(2).expand(shape)
    one = torch.ones_like(start)
    return torch.cat((query, start, one), dim=-1), torch.cat((key, one, end), dim=-1)


def _check(
    query: Tensor, key: Tensor, start_bias: Tensor | None, end_bias: Tensor | None, attention_mask: Tensor | None
) -> None:
    if query.shape != key.shape or query.ndim != (4 if start_bias is None else 3):
        form = "[B, L, C, D]" if start_bias is None else "[B, L, D]"
        raise ValueError(f"query and key must be {form}, got {tuple(query.shape)} and {tuple(key.shape)}")
    if not query.numel():
        raise ValueError(f"query and key must have a row, a token and a type at least, got shape {tuple(query.shape)}")
    biases = [bias for bias in (start_bias, end_bias) if bias is not None]
    if any(bias.ndim != 3 or bias.shape != biases[0].shape or bias.shape[:2] != query.shape[:2] for bias in biases):
        raise ValueError(
            f"start_bias and end_bias must be [B, L, C] with [B, L] = {list(query.shape[:2])}, got "
            f"{' and '.join(str(tuple(bias.shape)) for bias in biases)}"
        )
    if attention_mask is not None and attention_mask.shape != query.shape[:2]:
        raise ValueError(
            f"attention_mask must be [B, L] = {list(query.shape[:2])}, got shape {tuple(attention_mask.shape)}"
        )


def _refuse_nan(losses: Tensor, attention_mask: Tensor | None, **parts: Tensor) -> None:
    """Name the first score that is NaN. On a GPU the loss is NaN instead, which gradient scaling deals with."""
    if losses.device.type != "cpu" or not losses.isnan().any():
        return
    row, type_ = losses.isnan().nonzero()[0].tolist()
    found = "none of its parts is, but their products are"
    for name, part in parts.items():
        bad = ~part[row].isfinite()
        if attention_mask is not None:
            bad &= attention_mask[row].bool().view(-1, *[1] * (bad.ndim - 1))
        if bad.any():
            place = [row, *bad.nonzero()[0].tolist()]
            found = f"{name}{place} is {part[tuple(place)].item()}"
            break
    raise ValueError(f"scores must not be NaN, got NaN in row {row} for type {type_}: {found}")
