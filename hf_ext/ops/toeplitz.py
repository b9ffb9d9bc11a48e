"""Matrices whose entries depend on the distance alone."""

from torch import Tensor
from torch.nn import functional as F


def toeplitz_matrix(table: Tensor, length: int) -> Tensor:
    """``W[i, j] = table[j - i + T - 1]``, by views and one copy, whose gradient needs no scattered sums.

    Args:
        table: ``[2T - 1]``, for the distances from ``1 - T`` to ``T - 1``.
        length: L, at most T.

    Returns:
        ``[L, L]``.
    """
    middle = len(table) // 2
    near = table[middle - length + 1 : middle + length]
    # Rows of 2L numbers, read again in rows of 2L - 1: each begins one number further on.
    rows = F.pad(near, (0, 1)).expand(length, -1).reshape(-1)
    return rows[: length * (2 * length - 1)].view(length, 2 * length - 1)[:, length - 1 :]
