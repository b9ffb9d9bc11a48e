"""The best spans of the pointers without the scores ``[B, C, L, L]``: a tile at a time, with the best so far."""

import torch
from torch import Tensor

from hf_ext.ops.pointer import efficient_pointer_scores, pointer_scores, span_mask, top_spans, wide
from hf_ext.ops.pointer_tiles import Chunk, Tile, Tiling


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

    In a compiled graph the scores are made.

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
    if torch.compiler.is_compiling():
        return top_spans(pointer_scores(query, key, span_mask(length, attention_mask, ordered, query.device)), k, above)
    tiling = Tiling((batch, types, length), query.device, attention_mask, ordered)
    best = _BestSpans(tiling, k, above)
    with torch.autocast(query.device.type, enabled=False):
        for chunk in tiling.chunks:
            starts, ends = chunk.vectors(query, size**-0.5), chunk.vectors(key)
            for tile in chunk.tiles:
                scores = torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT)
                best.add(tiling.hide(scores, chunk, tile), chunk, tile, chunk.types)
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
    if torch.compiler.is_compiling():
        allowed = span_mask(length, attention_mask, ordered, query.device)
        return top_spans(efficient_pointer_scores(query, key, start_bias, end_bias, allowed), k, above)
    tiling = Tiling((batch, 1, length), query.device, attention_mask, ordered)
    best = _BestSpans(tiling, k, above)
    with torch.autocast(query.device.type, enabled=False):
        for chunk in tiling.chunks:
            starts, ends = chunk.vectors(query.unsqueeze(2), query.shape[-1] ** -0.5), chunk.vectors(key.unsqueeze(2))
            first, last = (wide(bias[chunk.rows, chunk.tokens]).mT for bias in (start_bias, end_bias))
            for tile in chunk.tiles:
                products = tiling.hide(torch.bmm(starts[:, tile.starts], ends[:, tile.ends].mT), chunk, tile)
                for type_ in range(types):
                    biases = first[:, type_, tile.starts, None] + last[:, type_, None, tile.ends]
                    best.add(biases.add_(products), chunk, tile, slice(type_, type_ + 1))
    return best.spans()


class _BestSpans:
    """The K best spans of each row so far, best first, of equal ones those of lower (label, start, end)."""

    def __init__(self, tiling: Tiling, k: int, above: float) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        batch, _, self.length = tiling.shape
        self.k, self.above = k, above
        self.least: list[float | None] = [None] * batch
        self.values = [torch.empty(0, device=tiling.device)] * batch
        self.places = [torch.empty(0, dtype=torch.long, device=tiling.device)] * batch

    def add(self, scores: Tensor, chunk: Chunk, tile: Tile, types: slice) -> None:
        """Take in the scores ``[b * c, R, S]`` of a tile of the types in the slice."""
        scores = scores.unflatten(0, (-1, types.stop - types.start))
        peaks = scores.amax((1, 2, 3)).tolist()
        for row, part, peak in zip(range(chunk.rows.start, chunk.rows.stop), scores, peaks):
            least = self.least[row]
            if peak != peak:
                type_, start, _ = part.isnan().nonzero()[0].tolist()
                raise ValueError(
                    f"scores must not be NaN, got NaN in row {row} for type {types.start + type_} and start "
                    f"{start + tile.starts.start + chunk.tokens.start}"
                )
            if peak > self.above and (least is None or peak >= least):
                self._merge(
                    row, part, types.start, tile.starts.start + chunk.tokens.start, tile.ends.start + chunk.tokens.start
                )

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

    def _merge(self, row: int, scores: Tensor, type_: int, start: int, end: int) -> None:
        least = self.least[row]
        flat = scores.flatten()
        index = (flat > self.above if least is None else flat >= least).nonzero().squeeze(1)
        values = flat[index]
        if len(values) > self.k:
            kept = values >= values.topk(self.k).values[-1]
            index, values = index[kept], values[kept]
        _, starts, ends = scores.shape
        types, first, last = index // (starts * ends) + type_, index // ends % starts + start, index % ends + end
        places = torch.cat((self.places[row], (types * self.length + first) * self.length + last))
        places, order = places.sort()
        values = torch.cat((self.values[row].to(values.dtype), values))[order]
        values, order = values.sort(descending=True, stable=True)
        self.values[row], self.places[row] = values[: self.k], places[order][: self.k]
        if len(values) >= self.k:
            self.least[row] = self.values[row][-1].item()
