"""Which tokens of a batch count, wherever they stand: the inputs are checked, and kept tokens are moved together."""

from typing import NamedTuple

import torch
from torch import Tensor

from hf_ext.ops.graphs import in_graph, is_exported


class Rows(NamedTuple):
    """Where the kept tokens of each row are, N being the most that a row has.

    Attributes:
        lengths: int64 ``[B]``, number of kept tokens.
        rank: int64 ``[B, L]``, how many kept tokens are before a position.
        forward: int64 ``[N, B]``, place of the n-th kept token among all ``B * L``; past a row's end its last one.
        backward: int64 ``[N, B]``, the same counted from the end; past a row's beginning its first one.
    """

    lengths: Tensor
    rank: Tensor
    forward: Tensor
    backward: Tensor


def kept_rows(mask: Tensor) -> Rows:
    """Where the kept tokens are.

    Args:
        mask: bool ``[B, L]``, True where kept.
    """
    lengths = mask.sum(1)
    places = mask.flatten().nonzero().squeeze(1)
    most = int(lengths.max()) if mask.numel() else 0
    if most == 0:
        none = lengths.new_zeros(0, len(mask))
        return Rows(lengths, torch.zeros_like(mask, dtype=torch.long), none, none)
    first = lengths.cumsum(0) - lengths
    step = torch.arange(most, device=mask.device)[:, None]
    last = lengths - 1
    # A row of nothing takes what others have; its results are replaced.
    forward, backward = (
        places[(first + offset).clamp(0, len(places) - 1)]
        for offset in (torch.minimum(step, last), (last - step).clamp_min(0))
    )
    return Rows(lengths, (mask.cumsum(1) - 1).clamp_min(0), forward, backward)


def kept_before(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The place of the last kept token before each token, 0 if there is none, and whether there is one.

    Args:
        mask: bool ``[B, L]``, True where kept.

    Returns:
        int64 and bool, ``[B, L]``.
    """
    places = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, places, -1)
    if is_exported():
        # ONNX has no running maximum.
        last = torch.where(places <= places[:, None], last.unsqueeze(1), -1).amax(2)
    else:
        last = last.cummax(1).values
    before = torch.cat((torch.full_like(last[:, :1], -1), last[:, :-1]), dim=1)
    return before.clamp_min(0), before >= 0


def checked_inputs(
    emissions: Tensor, transitions: Tensor, mask: Tensor | None, start: Tensor | None, end: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The inputs of the CRF's functions in float32 or better on one device, with what was left out filled in.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``.
        mask: ``[B, L]``, nonzero where a token counts; None: all do.
        start: ``[K]``; None: zeros.
        end: ``[K]``; None: zeros.

    Raises:
        ValueError: if a shape does not fit, or (on a CPU, outside of compiled graphs) a score is NaN or +inf.
    """
    if emissions.ndim != 3 or not emissions.is_floating_point() or not emissions.shape[2]:
        raise ValueError(
            f"emissions must be floats of shape [B, L, K], got {emissions.dtype} of shape {tuple(emissions.shape)}"
        )
    batch, length, tags = emissions.shape
    if transitions.shape != (tags, tags):
        raise ValueError(
            f"transitions must have shape {(tags, tags)}, as emissions have {tags} tags, got {tuple(transitions.shape)}"
        )
    if mask is not None and mask.shape != (batch, length):
        raise ValueError(f"mask must have shape {(batch, length)}, as emissions have, got {tuple(mask.shape)}")
    for name, scores in (("start", start), ("end", end)):
        if scores is not None and scores.shape != (tags,):
            raise ValueError(f"{name} must have shape {(tags,)}, a score a tag, got {tuple(scores.shape)}")
    dtype = torch.float64 if torch.float64 in (emissions.dtype, transitions.dtype) else torch.float32
    emissions, transitions = emissions.to(dtype), transitions.to(dtype)
    keep = emissions.new_ones(batch, length, dtype=torch.bool) if mask is None else mask.bool()
    start = emissions.new_zeros(tags) if start is None else start.to(dtype)
    end = emissions.new_zeros(tags) if end is None else end.to(dtype)
    if emissions.device.type == "cpu" and not in_graph():
        _check_finite(emissions, keep)
        for name, scores in (("transitions", transitions), ("start", start), ("end", end)):
            if not (scores < torch.inf).all():
                raise ValueError(f"{name} must be numbers or -inf, got NaN or +inf in {scores.tolist()}")
    return emissions, transitions, keep, start, end


def _check_finite(emissions: Tensor, mask: Tensor) -> None:
    # The largest of some numbers is NaN where one of them is, and that of all is found much sooner than that of each.
    if not emissions.numel() or emissions.detach().amax() < torch.inf:
        return
    wrong = ~(emissions.detach().amax(-1) < torch.inf) & mask
    if wrong.any():
        row, place = wrong.nonzero()[0].tolist()
        scores = emissions[row, place].tolist()
        raise ValueError(f"emissions[{row}, {place}] must be numbers or -inf, got NaN or +inf in {scores}")
