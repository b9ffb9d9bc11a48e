"""EXACT: the accuracy of a classifier with noise on its logits, maximised as it is (arXiv 2205.09615;
kexue.fm/archives/9098).
"""

import torch
from torch import Tensor, nn

from hf_ext.losses.rows import can_look, check_at_least, check_positive, class_rows, reduced
from hf_ext.ops.largest_of_noisy import log_probability_of_largest
from hf_ext.ops.orthant import orthant_probability


def exact_loss(
    logits: Tensor,
    labels: Tensor,
    sigma: float | Tensor = 1.0,
    margin: float | None = None,
    standardize: bool = False,
    hardest: int | None = None,
    points: int = 64,
    integral: str = "orthant",
    reduction: str = "mean",
) -> Tensor:
    """``1 - P(z_y > z_j for all j)`` for ``z ~ N(logits, sigma^2 I)``: the error rate of the noisy classifier.

    Minimised, with a sigma that shrinks in the course of training, it leads to the accuracy itself, where cross-entropy
    and hinge loss may give up samples for the sake of others. Rows that are quite wrong have no gradient until sigma is
    of the size of their margins, so start with a large one; the paper normalises the gradient.

    By Genz' method the backward pass takes K integrals over K - 1 numbers a row, for the K = C - 1 other classes, and
    ``points`` of each: bound them with ``hardest`` where there are many classes, or take the integral along a line.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[...]`` class ids, -100 to leave a row out.
        sigma: standard deviation of the noise: a number, or a tensor that broadcasts to ``[...]`` and may be learnt.
        margin: rows gain nothing by more than this; None does not bound them.
        standardize: give all logits of the batch mean 0 and variance 1 first, so that sigma has a meaning of its own.
            The value then depends on what else is in the (micro-)batch.
        hardest: how many of the other classes count, those with the largest logits; None: all.
        points: quasi-random points of each integral, best a power of 2.
        integral: "orthant", Genz' method as in the paper; or "line", the same probability as an integral over the noise
            of the row's own class alone, which independent noise allows: faster, and exact to rounding.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label.

    Returns:
        The loss in float32 or better, between 0 and 1.

    Raises:
        ValueError: if an argument does not fit.
    """
    if isinstance(sigma, Tensor):
        if can_look(sigma) and not bool((sigma > 0).all()):
            raise ValueError(f"sigma must be above 0, got {float(sigma.detach().min())}")
        sigma = sigma.unsqueeze(-1)
    else:
        check_positive("sigma", sigma)
    if margin is not None:
        check_positive("margin", margin)
    if hardest is not None:
        check_at_least("hardest", hardest, 1)
    check_at_least("points", points, 1)
    if integral not in ("orthant", "line"):
        raise ValueError(f"integral must be 'orthant' or 'line', got {integral!r}")
    logits, labels, counted = class_rows(logits, labels)
    if standardize:
        logits = _standardized(logits, counted)
    index = labels.unsqueeze(-1)
    margins = (logits.gather(-1, index) - logits).scatter(-1, index, torch.inf)
    others = logits.shape[-1] - 1
    # Ascending, so the hardest class comes first, as the integral wants it, and the row's own class, +inf, last.
    margins = margins.topk(others if hardest is None else min(hardest, others), largest=False).values
    if margin is not None:
        margins = margins.clamp_max(margin)
    margins = margins / sigma
    if integral == "line":
        return reduced(-torch.expm1(log_probability_of_largest(margins)), counted, reduction)
    return reduced(1 - orthant_probability(margins, points=points), counted, reduction)


def _standardized(logits: Tensor, counted: Tensor) -> Tensor:
    known = counted.unsqueeze(-1) & (logits > -torch.inf)
    count = known.sum().clamp(min=1)
    mean = logits.masked_fill(~known, 0).sum() / count
    variance = (logits - mean).masked_fill(~known, 0).square().sum() / count
    return (logits - mean) * (variance + 1e-12).rsqrt()


class ExactLoss(nn.Module):
    """`exact_loss` as a module; ``sigma`` may be set between steps."""

    def __init__(
        self,
        sigma: float = 1.0,
        margin: float | None = None,
        standardize: bool = False,
        hardest: int | None = None,
        points: int = 64,
        integral: str = "orthant",
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.sigma = sigma
        self.margin = margin
        self.standardize = standardize
        self.hardest = hardest
        self.points = points
        self.integral = integral
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` ``[..., C]`` and ``labels`` ``[...]``."""
        settings = (self.sigma, self.margin, self.standardize, self.hardest, self.points, self.integral)
        return exact_loss(logits, labels, *settings, self.reduction)
