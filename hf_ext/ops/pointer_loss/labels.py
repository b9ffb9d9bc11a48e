"""Lists of labelled spans: checked, and turned into cells of the scores."""

import torch
from torch import Tensor

from hf_ext.ops.graphs import in_graph


def check_span_labels(
    labels: Tensor,
    types: int,
    shape: tuple[int, int],
    attention_mask: Tensor | None = None,
    ordered: bool = True,
) -> None:
    """Refuse labels that have no score.

    Args:
        labels: ``[B, M, 3]`` of (label, start, end), padded with -100. In a compiled graph the values
            are not looked at.
        types: number of types C.
        shape: B and L.
        attention_mask: ``[B, L]``, nonzero at real tokens.
        ordered: no end before its start.

    Raises:
        ValueError: naming the first wrong span.
    """
    batch, length = shape
    if labels.ndim != 3 or labels.shape[0] != batch or labels.shape[2] != 3 or labels.is_floating_point():
        raise ValueError(
            f"labels must be integers of shape [{batch}, M, 3], got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if in_graph():
        return
    labels = labels.cpu()
    label, start, end = labels.unbind(-1)
    wrong = (label < 0) | (label >= types) | (start < 0) | (end < 0) | (start >= length) | (end >= length)
    if ordered:
        wrong |= start > end
    real = None if attention_mask is None else attention_mask.bool().cpu()
    if real is not None:
        wrong |= ~real.gather(1, start.long().clamp(0, length - 1)) | ~real.gather(1, end.long().clamp(0, length - 1))
    wrong &= label != -100
    if wrong.any():
        row, place = wrong.nonzero()[0].tolist()
        tokens = length if real is None else int(real[row].sum())
        order = "start <= end, " if ordered else ""
        raise ValueError(
            f"labels[{row}, {place}] must be (label in [0, {types}), {order}both on the {tokens} real tokens of "
            f"{length}), got {tuple(labels[row, place].tolist())}"
        )


def labelled_cells(labels: Tensor, types: int, length: int) -> Tensor:
    """Cells of (row, type, start, end), ``[N, 4]`` on the CPU, each once and in order, of ``labels`` ``[B, M, 3]``."""
    labels = labels.long().cpu()
    row, place = (labels[..., 0] != -100).nonzero(as_tuple=True)
    label, start, end = labels[row, place].unbind(-1)
    # One integer for each cell is sorted ten times faster than four.
    cells = (((row * types + label) * length + start) * length + end).unique()
    line, start, end = cells // length**2, cells // max(length, 1) % max(length, 1), cells % max(length, 1)
    return torch.stack((line // types, line % types, start, end), dim=-1)


def group_log_one_plus_sum_exp(x: Tensor, group: Tensor, groups: int) -> Tensor:
    """``log(1 + sum e^x)`` over the rows of ``x`` that share a group.

    Args:
        x: ``[N, ...]``; entries of -inf add nothing; N may be 0.
        group: integers ``[N]``.
        groups: number of groups G.

    Returns:
        ``[G, ...]``, at least 0.
    """
    group = group.view(-1, *[1] * (x.ndim - 1)).expand_as(x)
    peak = x.new_zeros(groups, *x.shape[1:]).scatter_reduce(0, group, x.detach(), "amax")
    peak = peak.clamp_max(torch.finfo(x.dtype).max)
    total = torch.exp(-peak).scatter_add(0, group, (x - peak.gather(0, group)).exp())
    return peak + total.log()
