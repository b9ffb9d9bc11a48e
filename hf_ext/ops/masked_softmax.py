"""The softmax of what is seen, which is zero, and not a mean over what is not, where nothing is seen."""

import torch
from torch import Tensor

from hf_ext.ops.precision import at_least_float32


def masked_softmax(scores: Tensor, visible: Tensor | None = None, dim: int = -1) -> Tensor:
    """Softmax over what is seen.

    Args:
        scores: of any shape.
        visible: bool, broadcastable to it, True at what is seen; None: everything is.
        dim: the dimension that adds up to 1.

    Returns:
        Weights of the shape of ``scores``, in float32 or better; 0 at what is not seen, and so all of them where
        nothing is.
    """
    scores = at_least_float32(scores)
    if visible is None:
        return scores.softmax(dim)
    # No -inf, of which a whole row would give NaN in the backward pass.
    return scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(dim) * visible
