"""The best spans of the pointers without the scores ``[B, C, L, L]``: a tile at a time, with the best so far."""

import math
from typing import NoReturn

import torch
from torch import Tensor

from hf_ext.ops import pointer_tiles
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.pointer import efficient_pointer_scores, pointer_scores, span_mask, top_spans
from hf_ext.ops.pointer_tiles import Chunk, Tile, Tiling, few_scores
from hf_ext.ops.precision import at_least_float32


@torch.no_grad()
def pointer_top_spans(
    query: Tensor,
    key: Tensor,
    k: int,
    attention_mask: Tensor | None = None,
    ordered: bool = True,
    above: float = 0.0,
) -> Tensor:
    """What :func:`hf_ext.ops.pointer.top_spans` gives for GlobalPointer's scores.

    In a compiled graph all scores are made at once, and nothing looks for NaN; so are few of them on a GPU.

    Args:
        query: ``[B, L, C, D]``, start vectors.
        key: ``[B, L, C, D]``, end vectors.
        k: number of spans K to return a row.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.
        above: spans must score more than this.

    Returns:
        float32 ``[B, K, 4]`` of (label, start, end, score), -1, -1, -1 and 0 where a row has no more.

    Raises:
        ValueError: if ``k`` is less than 1 or a score is NaN.
    """
    batch, length, types, size = query.shape
    if _all_at_once((batch, types, length), query.device):
        allowed = span_mask(length, attention_mask, ordered, query.device)
        return _dense_top_spans(pointer_scores(query, key, allowed), allowed, k, above)
    tiling = Tiling((batch, types, length), query.device, attention_mask, ordered)
    best = _BestSpans(tiling, k, above)
    with torch.autocast(query.device.type, enabled=False):
        for chunk in tiling.chunks:
            starts, ends = chunk.vectors(query, size**-0.5), chunk.vectors(key)
            for tile in chunk.tiles:
                scores = torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT)
                best.add(tiling.hide(scores, chunk, tile), chunk, tile)
    return best.spans()


@torch.no_grad()
def efficient_pointer_top_spans(
    query: Tensor,
    key: Tensor,
    start_bias: Tensor,
    end_bias: Tensor,
    k: int,
    attention_mask: Tensor | None = None,
    ordered: bool = True,
    above: float = 0.0,
) -> Tensor:
    """As :func:`pointer_top_spans`, for Efficient GlobalPointer's scores.

    Args:
        query: ``[B, L, D]``.
        key: ``[B, L, D]``.
        start_bias: ``[B, L, C]``.
        end_bias: ``[B, L, C]``.
        k: number of spans K to return a row.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.
        above: spans must score more than this.

    Returns:
        float32 ``[B, K, 4]``.

    Raises:
        ValueError: if ``k`` is less than 1 or a score is NaN.
    """
    batch, length, types = start_bias.shape
    if _all_at_once((batch, types, length), query.device):
        allowed = span_mask(length, attention_mask, ordered, query.device)
        return _dense_top_spans(efficient_pointer_scores(query, key, start_bias, end_bias, allowed), allowed, k, above)
    tiling = Tiling((batch, types, length), query.device, attention_mask, ordered)
    best = _BestSpans(tiling, k, above)
    with torch.autocast(query.device.type, enabled=False):
        for chunk in tiling.chunks:
            starts, ends = (at_least_float32(x[chunk.rows, chunk.tokens]) for x in (query, key))
            starts = starts * query.shape[-1] ** -0.5
            # Contiguous, as their sum else has its types innermost, and its maximum over the ends is slow to find.
            first, last = (
                at_least_float32(bias[chunk.rows, chunk.tokens, chunk.types]).mT.contiguous()
                for bias in (start_bias, end_bias)
            )
            for tile in chunk.tiles:
                scores = first[..., tile.starts, None] + last[..., None, tile.ends]
                scores += torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT).unsqueeze(1)
                best.add(tiling.hide(scores.flatten(0, 1), chunk, tile), chunk, tile)
    return best.spans()


def _all_at_once(shape: tuple[int, int, int], device: torch.device) -> bool:
    # A GPU would have to wait for what each row is found to have; a CPU takes less time by tiles at any size.
    return in_graph() or (device.type != "cpu" and few_scores(shape, pointer_tiles.DENSE))


def _dense_top_spans(scores: Tensor, allowed: Tensor, k: int, above: float) -> Tensor:
    if not in_graph() and scores.amax(-1).isnan().any():
        # Adding -inf does not hide a NaN where no span may stand.
        scores = scores.masked_fill(~allowed.unsqueeze(1), -torch.inf)
        if (wrong := scores.amax(-1).isnan()).any():
            _refuse_nan(*wrong.nonzero()[0].tolist())
    return top_spans(scores, k, above)


def _refuse_nan(row: int, type_: int, start: int) -> NoReturn:
    raise ValueError(f"scores must not be NaN, got NaN in row {row} for type {type_} and start {start}")


class _BestSpans:
    """The K best spans of each row so far, best first, of equal ones those of lower (label, start, end)."""

    def __init__(self, tiling: Tiling, k: int, above: float) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        (batch, _, self.length), self.ordered = tiling.shape, tiling.ordered
        self.k, self.above = k, above
        self.least = [-math.inf] * batch
        self.values = [torch.empty(0, device=tiling.device)] * batch
        self.places = [torch.empty(0, dtype=torch.long, device=tiling.device)] * batch

    def add(self, scores: Tensor, chunk: Chunk, tile: Tile) -> None:
        """Take in the scores ``[b * c, R, S]`` of a tile."""
        origin = (chunk.types.start, *(chunk.tokens.start + part.start for part in (tile.starts, tile.ends)))
        scores = scores.unflatten(0, (-1, chunk.types.stop - chunk.types.start))
        peaks = scores.amax(-1)
        highest = peaks.flatten(1).amax(-1).tolist()
        for row, part, peak, high in zip(range(chunk.rows.start, chunk.rows.stop), scores, peaks, highest):
            if high != high:
                # Adding -inf does not hide a NaN below the diagonal.
                part = part.masked_fill(torch.ones_like(part, dtype=torch.bool).tril(-1) & self.ordered, -torch.inf)
                peak = part.amax(-1)
                if (wrong := peak.isnan()).any():
                    type_, start = wrong.nonzero()[0].tolist()
                    _refuse_nan(row, origin[0] + type_, origin[1] + start)
                high = peak.max().item()
            if high > self.above and high >= self.least[row]:
                self._merge(row, part, peak, origin)

    def spans(self) -> Tensor:
        """``[B, K, 4]``."""
        rows = []
        for values, places in zip(self.values, self.places):
            row = values.new_tensor([-1.0, -1.0, -1.0, 0.0]).repeat(self.k, 1)
            square = self.length**2
            found = (places // square, places % square // self.length, places % self.length, values)
            row[: len(values)] = torch.stack(found, dim=-1).float()
            rows.append(row)
        return torch.stack(rows).float() if rows else torch.empty(0, self.k, 4)

    def _merge(self, row: int, scores: Tensor, peaks: Tensor, origin: tuple[int, int, int]) -> None:
        """Take in ``scores`` ``[c, R, S]`` with the highest of each start ``[c, R]``."""
        least = self.least[row]
        # Of K starts each has a span that scores as its peak, so none below the K-th highest peak is wanted.
        if peaks.numel() > self.k:
            least = max(least, peaks.flatten().topk(self.k).values[-1].item())
        types, starts = ((peaks > self.above) & (peaks >= least)).nonzero(as_tuple=True)
        cells = scores[types, starts]
        line, ends = ((cells > self.above) & (cells >= least)).nonzero(as_tuple=True)
        values = cells[line, ends]
        if len(values) > self.k:
            kept = values >= values.topk(self.k).values[-1]
            line, ends, values = line[kept], ends[kept], values[kept]
        type_, start, end = types[line] + origin[0], starts[line] + origin[1], ends + origin[2]
        places = torch.cat((self.places[row], (type_ * self.length + start) * self.length + end))
        places, order = places.sort()
        values = torch.cat((self.values[row].to(values.dtype), values))[order]
        values, order = values.sort(descending=True, stable=True)
        self.values[row], self.places[row] = values[: self.k], places[order][: self.k]
        if len(values) >= self.k:
            self.least[row] = self.values[row][-1].item()
