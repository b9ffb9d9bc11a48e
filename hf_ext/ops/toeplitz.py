"""Matrices whose entries depend on the distance alone."""

import torch
from torch import Tensor

from hf_ext.ops.graphs import in_graph


def toeplitz_matrix(values: Tensor, rows: int) -> Tensor:
    """``W[..., i, j] = values[..., j - i + Q - 1]``: each pair of a query and a key gets the number of its distance.

    Args:
        values: ``[..., Q + S - 1]``, for the distances from ``1 - Q`` to ``S - 1``.
        rows: Q.

    Returns:
        ``[..., Q, S]``.
    """
    columns = values.shape[-1] - rows + 1
    if in_graph():
        # A view by windows would hold for this number of columns alone.
        places = torch.arange(columns, device=values.device) - torch.arange(rows, device=values.device)[:, None]
        return values[..., places + rows - 1]
    return values.unfold(-1, columns, 1).flip(-2)
