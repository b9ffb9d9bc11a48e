"""How far vectors are from being orthogonal: those of a matrix, and those that a layer computes with on its batch.

Sources: kexue.fm/archives/7169; arXiv 1809.11096 (BigGAN), 1810.09102 (SRIP), 2001.01275 (Self-Orthogonality Module).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import check_at_least, check_some
from hf_ext.ops.precision import at_least_float32

AXES = ("rows", "columns", "fewer")


def orthogonality_penalty(weight: Tensor, kind: str = "soft", axis: str = "rows", iterations: int | None = 2) -> Tensor:
    """How far the vectors of a matrix are from orthonormal, or from orthogonal; 0 where they are.

    Args:
        weight: ``[k, d]``, k vectors of d numbers, as `torch.nn.Linear` has those of its outputs.
        kind: with the inner products ``G = W W^T`` of the vectors: ``"soft"``, ``|G - I|_F^2``; ``"off_diagonal"``, the
            same without the diagonal, which leaves the lengths alone; ``"cosine"``, the same of vectors of length 1;
            ``"spectral"``, the largest absolute eigenvalue of ``G - I``.
        axis: which vectors: ``"rows"``, ``"columns"``, or the ``"fewer"`` of them, as more than d vectors of d numbers
            cannot be orthogonal.
        iterations: of ``"spectral"``: steps of the power iteration, from the longest column of ``G - I``; the value is
            at most the true one. None: the eigenvalue itself.

    Returns:
        scalar in float32 or better, whatever autocast says.

    Raises:
        ValueError: if the weight is no matrix of floats, there are more vectors than they have numbers, or an option is
            unknown.
    """
    check_some(weight, "weight")
    if weight.dim() != 2:
        raise ValueError(f"weight must have the shape [k, d], got {tuple(weight.shape)}")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if axis not in AXES:
        raise ValueError(f"axis must be one of {', '.join(AXES)}, got {axis!r}")
    if iterations is not None:
        check_at_least("iterations", iterations, 0)
    if axis == "columns" or (axis == "fewer" and weight.shape[0] > weight.shape[1]):
        weight = weight.T
    if weight.shape[0] > weight.shape[1]:
        raise ValueError(
            f"weight must have at most as many vectors as they have numbers, got {weight.shape[0]} {axis} of "
            f"{weight.shape[1]}, which cannot be orthogonal; axis='fewer' takes the others"
        )
    with torch.autocast(weight.device.type, enabled=False):
        return KINDS[kind](at_least_float32(weight), iterations)


def self_orthogonality_penalty(
    outputs: Tensor,
    mask: Tensor | None = None,
    gamma: float = 10.0,
    mean_weight: float = 100.0,
    square_weight: float = 1.0,
    reduction: str = "sum",
) -> Tensor:
    """How far the angles between a layer's vectors are from right ones, estimated from the layer's own batch.

    With ``t = tanh(gamma y)``, its columns divided by their length over the batch, ``v_ij = t_i . t_j`` estimates
    ``1 - 2 angle_ij / pi``, and the penalty is ``mean_weight (sum v_ij)^2 + square_weight sum v_ij^2`` over all pairs
    of different units: the first term draws the mean of the angles to 90 degrees, the second one their variance to 0.
    The estimate takes it that inputs have no direction in common; of those with a mean it is biased.

    Args:
        outputs: ``[..., k]``, what k units give for each token, before bias and activation.
        mask: ``[...]``, not 0 at the tokens that count; padding must not. None: all.
        gamma: how close tanh is to the sign.
        mean_weight: of the first term, lambda_1.
        square_weight: of the second term, lambda_2.
        reduction: ``"sum"`` over pairs, as in the paper, of which the first term grows with the fourth power of k; or
            ``"mean"``, over the k (k - 1) pairs in each term.

    Returns:
        scalar in float32 or better; 0 if there is one unit.

    Raises:
        ValueError: if there are no outputs that count, the mask has another shape, or an option is out of range.
    """
    for name, value in (("mean_weight", mean_weight), ("square_weight", square_weight)):
        check_at_least(name, value, 0)
    if not gamma > 0:
        raise ValueError(f"gamma must be above 0, got {gamma!r}")
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction must be 'sum' or 'mean', got {reduction!r}")
    if mask is None:
        outputs = outputs.flatten(0, -2)
    elif mask.shape != outputs.shape[:-1]:
        raise ValueError(f"mask must have the shape {tuple(outputs.shape[:-1])}, got {tuple(mask.shape)}")
    else:
        outputs = outputs[mask != 0]
    check_some(outputs, "outputs")
    units = outputs.shape[-1]
    with torch.autocast(outputs.device.type, enabled=False):
        signs = _of_length_1((gamma * at_least_float32(outputs)).tanh(), 0)
        products = _off_diagonal(_Products.apply(signs.T))
        pairs = max(units * (units - 1), 1) if reduction == "mean" else 1
        return mean_weight * (products.sum() / pairs).square() + square_weight * products.square().sum() / pairs


class OrthogonalityPenalty(nn.Module):
    """`orthogonality_penalty` as a module."""

    def __init__(self, kind: str = "soft", axis: str = "rows", iterations: int | None = 2) -> None:
        super().__init__()
        self.kind = kind
        self.axis = axis
        self.iterations = iterations

    def forward(self, weight: Tensor) -> Tensor:
        """Penalty of ``weight`` ``[k, d]``."""
        return orthogonality_penalty(weight, self.kind, self.axis, self.iterations)


class SelfOrthogonalityPenalty(nn.Module):
    """`self_orthogonality_penalty` as a module."""

    def __init__(
        self,
        gamma: float = 10.0,
        mean_weight: float = 100.0,
        square_weight: float = 1.0,
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.mean_weight = mean_weight
        self.square_weight = square_weight
        self.reduction = reduction

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Penalty of ``outputs`` ``[..., k]`` where ``mask`` ``[...]`` counts them."""
        return self_orthogonality_penalty(
            outputs, mask, self.gamma, self.mean_weight, self.square_weight, self.reduction
        )


def _of_length_1(vectors: Tensor, dim: int) -> Tensor:
    length = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    # What is next to nothing has no direction, and would have a gradient without end.
    return vectors / torch.where(length > 1e-6, length, 1)


class _Products(torch.autograd.Function):
    """The inner products ``V V^T`` of the rows of a matrix, whose gradient is one product of matrices and not two."""

    @staticmethod
    def forward(context: Any, vectors: Tensor) -> Tensor:
        context.save_for_backward(vectors)
        return vectors @ vectors.T

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        (vectors,) = context.saved_tensors
        return (gradient + gradient.T) @ vectors


def _off_diagonal(square: Tensor) -> Tensor:
    return square - square.diagonal().diag()


def _less_identity(vectors: Tensor) -> Tensor:
    return _Products.apply(vectors) - torch.eye(len(vectors), dtype=vectors.dtype, device=vectors.device)


def _soft(vectors: Tensor, iterations: int | None) -> Tensor:
    return _less_identity(vectors).square().sum()


def _without_diagonal(vectors: Tensor, iterations: int | None) -> Tensor:
    return _off_diagonal(_Products.apply(vectors)).square().sum()


def _cosine(vectors: Tensor, iterations: int | None) -> Tensor:
    return _without_diagonal(_of_length_1(vectors, 1), iterations)


def _spectral(vectors: Tensor, iterations: int | None) -> Tensor:
    apart = _less_identity(vectors)
    if iterations is None:
        return torch.linalg.eigvalsh(apart).abs().max()
    with torch.no_grad():
        # A start that is drawn would shift every dropout mask behind it, and a fixed one may be orthogonal to what is
        # sought. Of what is 0 everywhere the direction does not matter.
        longest = apart.norm(dim=0).argmax()
        direction = _of_length_1(apart[:, longest], 0)
        for _ in range(iterations):
            direction = _of_length_1(apart @ direction, 0)
    # Where the direction is that of the eigenvector, its own gradient is 0.
    return (direction @ (apart @ direction)).abs()


KINDS: dict[str, Callable[[Tensor, int | None], Tensor]] = {
    "soft": _soft,
    "off_diagonal": _without_diagonal,
    "cosine": _cosine,
    "spectral": _spectral,
}
"""Penalties of ``[k, d]`` in float32 or better, whose k vectors are to be orthogonal."""
