"""Where the tokens of a forward pass lie, for blocks that mix those of a text.

Blocks run in the caller's layout, whatever it is: padded on either side, several texts in a row, all padding taken out.
Only what mixes tokens sees a grid of one text a row.

Shapes: B rows of L tokens of the caller's layout, R rows of M tokens of the grid.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hf_ext.ops.row_alignment import RowAlignment


@dataclass(frozen=True)
class Surroundings:
    """What all layers of a forward pass need to know of the tokens.

    Attributes:
        rows: B.
        alignment: where a token's place in the grid is; None: where it is, as a row has one text from its start on.
        real: bool ``[R, M]``, True at real tokens, which come first in each row; None: all are.
        fourier: the transform of ``[R, M, H]``, each row's over its own tokens; None where there is none.
    """

    rows: int
    alignment: RowAlignment | None = None
    real: Tensor | None = None
    fourier: Callable[[Tensor], Tensor] | None = None

    def length(self, x: Tensor) -> int:
        """M, of ``x`` ``[B, L, ...]``."""
        return x.shape[1] if self.alignment is None else self.alignment.length

    def spread(self, x: Tensor) -> Tensor:
        """``x`` ``[B, L, I]`` in the grid, ``[R, M, I]``, zero at padding."""
        grid = x if self.alignment is None else self.alignment.align(x)
        return grid if self.real is None else grid.masked_fill(~self.real.unsqueeze(-1), 0)

    def gather(self, grid: Tensor) -> Tensor:
        """``grid`` ``[R, M, I]`` in the caller's layout, ``[B, L, I]``."""
        return grid if self.alignment is None else self.alignment.restore(grid, self.rows)
