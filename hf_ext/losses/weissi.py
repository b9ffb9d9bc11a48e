"""WEISSI: a penalty of weights that does not change under scales that have no effect (kexue.fm/archives/7681)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import check_at_least, check_positive, check_some
from hf_ext.ops.precision import at_least_float32


def weissi_penalty(
    weights: Tensor | Iterable[Tensor], scale: float = 1.0, sparsity: float = 0.0, floor: float = 1e-3
) -> Tensor:
    """``scale sum log |W|_F + sparsity sum |W|_1 / |W|_F`` over matrices (arXiv 2008.02965).

    Where matrices are multiplied by numbers of product 1, as a network with ReLU does not notice, the first term stays
    as it is, and the second one whatever the numbers are. Weight decay has its minimum where all norms are equal.

    ``log |W|`` has no end below: of a matrix whose scale does not matter, as one that a norm follows, nothing would
    resist its shrinking. Give matrices whose scale matters, and let these have no weight decay beside it.

    Args:
        weights: one matrix, or several, of any shape. A fused ``[3H, H]`` of query, key and value is three of them.
        scale: of the first term, lambda_1; its gradient is ``W / |W|^2``.
        sparsity: of the second term, lambda_2, which is least where few entries are not 0.
        floor: ``|W|_F`` from which down a matrix is left alone: it counts as if its norm were this, without gradient.

    Returns:
        scalar in float32 or better.

    Raises:
        ValueError: if there are no weights, or an option is out of range.
    """
    check_at_least("scale", scale, 0)
    check_at_least("sparsity", sparsity, 0)
    check_positive("floor", floor)
    if isinstance(weights, Tensor):
        weights = (weights,)
    terms = []
    for weight in weights:
        check_some(weight, "weights")
        numbers = at_least_float32(weight)
        norm = torch.linalg.vector_norm(numbers)
        above = norm > floor
        norm = torch.where(above, norm, floor)
        term = scale * norm.log()
        # Each pass over all numbers costs as much as the rest.
        if sparsity:
            ratio = numbers.abs().sum() / norm
            term = term + sparsity * torch.where(above, ratio, ratio.detach())
        terms.append(term)
    if not terms:
        raise ValueError("weights must be at least one, got none")
    return torch.stack(terms).sum()


class WEISSIPenalty(nn.Module):
    """`weissi_penalty` as a module."""

    replaces_weight_decay = True
    """Whether what it is given is to have no weight decay."""

    def __init__(self, scale: float = 1.0, sparsity: float = 0.0, floor: float = 1e-3) -> None:
        super().__init__()
        self.scale = scale
        self.sparsity = sparsity
        self.floor = floor

    def forward(self, weights: Tensor | Iterable[Tensor]) -> Tensor:
        """Penalty of ``weights``, one or several."""
        return weissi_penalty(weights, self.scale, self.sparsity, self.floor)
