"""Tiles of the scores ``[B, C, L, L]`` of spans, of which only one is there at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from hf_ext.ops.precision import at_least_float32

# Scores of one tile: on a CPU such that they stay in the cache between the products, on a GPU enough to fill it.
_CPU_TILE = 2**18
_GPU_TILE = 2**25

# Up to so many scores in all, the readable forms of the losses, and on a GPU of decoding, take less time.
DENSE = 2**17

# Up to so many, a loss keeps their exponentials for the backward pass.
_KEPT = 2**22

# Starts in one tile: few of them leave out more of the lower triangle, many make better matrix products.
_STARTS = 64


def few_scores(shape: tuple[int, int, int], most: int) -> bool:
    """Whether B rows, C types and L tokens have at most so many scores."""
    batch, types, length = shape
    return batch * types * length**2 <= most


@dataclass(frozen=True)
class Tile:
    """Some starts and the ends they go with, counted from the first real token of the chunk.

    Attributes:
        starts: slice of R starts.
        ends: slice of S ends; where spans are ordered it begins with that of the starts.
        cells: three integers ``[n]``: group, start and end, counted from the tile's, of the cells to be left out.
    """

    starts: slice
    ends: slice
    cells: tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Chunk:
    """Some types of one row, or all types of some rows: b * c = G groups in all.

    Attributes:
        rows: slice of b rows.
        types: slice of c types.
        tokens: slice of S tokens, all real ones of these rows.
        padding: bool ``[b, S]``, True at padding among these tokens; None if there is none.
        tiles: tiles that hold all spans.
    """

    rows: slice
    types: slice
    tokens: slice
    padding: Tensor | None
    tiles: tuple[Tile, ...]

    def vectors(self, x: Tensor, scale: float = 1.0) -> Tensor:
        """This chunk's part of ``x`` ``[B, L, C, D]``: ``[G, S, D]`` in float32 or better, 0 at padding."""
        part = at_least_float32(x[self.rows, self.tokens, self.types]).transpose(1, 2) * scale
        if self.padding is not None:
            part = part.masked_fill(self.padding[:, None, :, None], 0)
        return part.contiguous().flatten(0, 1)

    def store(self, grad: Tensor, x: Tensor) -> None:
        """Put ``grad`` ``[G, S, D]`` into this chunk's part of ``x`` ``[B, L, C, D]``."""
        part = x[self.rows, self.tokens, self.types]
        part.copy_(grad.unflatten(0, (part.shape[0], part.shape[2])).transpose(1, 2))


class Tiling:
    """All spans of a batch, cut into chunks and tiles.

    Args:
        shape: B, C and L.
        device: where the scores will be.
        attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.
        ordered: no end before its start.
        cells: integers ``[N, 4]`` of (row, type, start, end) on the CPU, all different, to be left out of the tiles.

    Attributes:
        kept: whether there are so few scores that a loss may keep them.
        cells: the given cells on the device in the order of the chunks and their tiles.
        counts: number of cells of each chunk.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        device: torch.device,
        attention_mask: Tensor | None = None,
        ordered: bool = True,
        cells: Tensor | None = None,
    ) -> None:
        batch, types, length = shape
        self.shape, self.device, self.ordered = shape, device, ordered
        budget = _CPU_TILE if device.type == "cpu" else _GPU_TILE
        self.kept = few_scores(shape, _KEPT)
        starts = _STARTS if device.type == "cpu" else max(_STARTS, budget // max(length, 1))
        self._starts = min(starts, max(length, 1))
        groups = max(1, budget // max(1, self._starts * length))
        self._rows, self._types = (max(1, groups // types), types) if groups >= types else (1, groups)
        self._lower = torch.full((self._starts, self._starts), -torch.inf, device=device).tril(-1)
        self._real = None if attention_mask is None else attention_mask.to(device).bool()
        real = torch.ones(batch, length, dtype=torch.bool) if self._real is None else self._real.cpu()
        if not length:
            real = torch.zeros(batch, 1, dtype=torch.bool)
        self._count = real.sum(-1).tolist()
        self._first = real.int().argmax(-1).tolist()
        self._stop = (real.shape[-1] - real.flip(-1).int().argmax(-1)).tolist()
        empty = torch.empty(0, 4, dtype=torch.long)
        self.cells, self.counts, self.chunks = self._cut(empty if cells is None else cells)

    def hide(self, scores: Tensor, chunk: Chunk, tile: Tile) -> Tensor:
        """Put -inf into ``scores`` ``[G, R, S]`` where no span may stand."""
        if self.ordered:
            size = scores.shape[1]
            # Adding is several times faster than filling by a mask.
            scores[..., :size].add_(self._lower[:size, :size])
        if chunk.padding is not None:
            cells = scores.unflatten(0, (chunk.padding.shape[0], -1))
            cells.masked_fill_(chunk.padding[:, None, tile.starts, None], -torch.inf)
            cells.masked_fill_(chunk.padding[:, None, None, tile.ends], -torch.inf)
        if len(tile.cells[0]):
            scores[tile.cells] = -torch.inf
        return scores

    def _cut(self, cells: Tensor) -> tuple[Tensor, list[int], list[Chunk]]:
        batch, types, length = self.shape
        places = list(product(range(0, batch, self._rows), range(0, types, self._types)))
        blocks = -(-length // self._starts)
        row, type_, start, _ = cells.unbind(-1)
        chunk = row // self._rows * -(-types // self._types) + type_ // self._types
        place = chunk * blocks + start // self._starts
        order = place.argsort(stable=True)
        sizes = torch.bincount(place, minlength=len(places) * blocks).tolist()
        cells = cells[order].to(self.device)
        parts = iter(cells.split(sizes))
        counts = [sum(sizes[i * blocks : (i + 1) * blocks]) for i in range(len(places))]
        chunks = [self._chunk(row, type_, [next(parts) for _ in range(blocks)]) for row, type_ in places]
        return cells, counts, chunks

    def _chunk(self, row: int, type_: int, cells: list[Tensor]) -> Chunk:
        batch, all_types, _ = self.shape
        rows = slice(row, min(row + self._rows, batch))
        types = slice(type_, min(type_ + self._types, all_types))
        filled = [i for i in range(rows.start, rows.stop) if self._count[i]]
        tokens = slice(
            min((self._first[i] for i in filled), default=0), max((self._stop[i] for i in filled), default=0)
        )
        padding = None
        if self._real is not None and any(self._count[i] < tokens.stop - tokens.start for i in range(row, rows.stop)):
            padding = ~self._real[rows, tokens]
        tiles = tuple(self._tiles(rows, types, tokens, cells))
        return Chunk(rows, types, tokens, padding, tiles)

    def _tiles(self, rows: slice, types: slice, tokens: slice, cells: list[Tensor]) -> Iterator[Tile]:
        for number, inside in enumerate(cells):
            start = max(number * self._starts, tokens.start)
            stop = min((number + 1) * self._starts, tokens.stop)
            if start >= stop:
                continue
            end = start if self.ordered else tokens.start
            row, type_, first, last = inside.unbind(-1)
            group = (row - rows.start) * (types.stop - types.start) + type_ - types.start
            yield Tile(
                slice(start - tokens.start, stop - tokens.start),
                slice(end - tokens.start, tokens.stop - tokens.start),
                (group, first - start, last - end),
            )
