"""What the blocks of a token mixer have to know beside the vectors of the tokens."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Surroundings:
    """What all layers of a forward pass need to know of the tokens.

    Attributes:
        real: bool ``[B, L]``, True at real tokens, which come first in each row; None: all are.
        fourier: the transform of ``[B, L, H]``, each row's over its own tokens; None where there is none.
    """

    real: Tensor | None
    fourier: Callable[[Tensor], Tensor] | None = None

    def cleared(self, x: Tensor) -> Tensor:
        """``x`` ``[B, L, ...]`` with zeros at padding."""
        return x if self.real is None else x.masked_fill(~self.real.unsqueeze(-1), 0)
