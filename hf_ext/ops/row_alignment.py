"""Where the texts of a batch begin: every text moved to the start of a row of its own, and back.

Where places count from the start of a text, as chunks of it and matrices of its tokens do, the same text with padding
on its left, or several texts in one row, would otherwise give something else, which depended on its neighbours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RowAlignment:
    """A place in a grid of ``R`` rows of ``M`` tokens for each token of a batch ``[B, L]``.

    Attributes:
        places: ``[B * L]``, all different, in the flattened grid.
        rows: number of rows R.
        length: length M of a row.
        real: bool ``[R, M]``, True where a real token lies; they come first in each row.
    """

    places: Tensor
    rows: int
    length: int
    real: Tensor

    @classmethod
    def from_mask(cls, attention_mask: Tensor) -> "RowAlignment":
        """Move the padding of each row behind its real tokens, which keep their order: ``R = B``, ``M = L``.

        Args:
            attention_mask: ``[B, L]``, non-zero at real tokens; they may lie anywhere in a row.
        """
        rows, length = attention_mask.shape
        real = attention_mask != 0
        count = real.sum(-1, keepdim=True)
        column = torch.where(real, real.cumsum(-1) - 1, count + (~real).cumsum(-1) - 1)
        start = torch.arange(rows, device=real.device)[:, None] * length
        places = (start + column).flatten()
        return cls(places, rows, length, torch.arange(length, device=real.device) < count)

    @classmethod
    def from_documents(cls, documents: Tensor) -> "RowAlignment":
        """Give each document a row: R is their number, M the length of the longest.

        Args:
            documents: ``[B, L]`` from :func:`hf_ext.ops.masks.document_ids`.
        """
        per_row = documents[:, -1:] + 1
        row = (documents + per_row.cumsum(0) - per_row).flatten()
        lengths = torch.bincount(row)
        length = int(lengths.max())
        starts = lengths.cumsum(0) - lengths
        places = row * length + torch.arange(len(row), device=row.device) - starts[row]
        return cls(places, len(lengths), length, torch.arange(length, device=row.device) < lengths[:, None])

    def align(self, x: Tensor) -> Tensor:
        """Move ``x`` ``[B, L, ...]`` to the grid ``[R, M, ...]``, zero where no token lies."""
        grid = x.new_zeros(self.rows * self.length, *x.shape[2:])
        return grid.index_copy(0, self.places, x.flatten(0, 1)).unflatten(0, (self.rows, self.length))

    def restore(self, grid: Tensor, batch_size: int) -> Tensor:
        """Move ``grid`` ``[R, M, ...]`` back to ``[B, L, ...]``."""
        return grid.flatten(0, 1)[self.places].unflatten(0, (batch_size, -1))
