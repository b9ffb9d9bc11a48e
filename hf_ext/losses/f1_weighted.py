"""Cross-entropy of each class by itself, whose weights come from F1 (kexue.fm/archives/7708)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses.rows import can_look, multi_label_rows, reduced
from hf_ext.losses.smooth_metrics import smooth_f1_sums


def f1_weighted_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    f1: Tensor | Sequence[float] | float | None = None,
    average: str = "micro",
    reduction: str = "mean",
) -> Tensor:
    """``-(1 - F1/2) y log p - F1/2 (1 - y) log(1 - p)``: smooth F1, differentiated as if log p were p.

    Smooth F1 hardly learns from what is quite wrong, as p does not move there; log p does. The weights of what is and
    what is not there come out of the metric, and shift with it; no gradient flows through them.

    Args:
        logits: ``[..., C]``; -inf is a class that is not there.
        labels: ``[..., C]`` in [0, 1], -100 to leave a class of a row out.
        f1: in [0, 1], one number or ``[C]``, as from a mean over many batches; None: smooth F1 of this batch, which
            should be large.
        average: of that, "micro" over everything or "macro", one for each class.
        reduction: "none" (``[...]``), "sum" or "mean" over the rows that have a label; of a row the mean of its
            classes.

    Raises:
        ValueError: if an argument does not fit.
    """
    logits, labels, counted = multi_label_rows(logits, labels)
    if f1 is None:
        errors, sizes, _ = smooth_f1_sums(logits.detach(), labels, counted, average)
        weight = 1 - errors / sizes
    else:
        weight = torch.as_tensor(f1, device=logits.device, dtype=logits.dtype)
        if weight.numel() not in (1, logits.shape[-1]):
            raise ValueError(f"f1 must be one number or {logits.shape[-1]}, got {weight.numel()}")
        if can_look(weight) and not bool(((weight >= 0) & (weight <= 1)).all()):
            raise ValueError(f"f1 must be in [0, 1], got {f1}")
        if average != "micro":
            raise ValueError(f"average has no effect where f1 is given, got {average!r}")
    values = (1 - weight / 2) * labels * F.softplus(-logits) + weight / 2 * (1 - labels) * F.softplus(logits)
    sums = values.masked_fill(~counted, 0).sum(-1)
    return reduced(sums / counted.sum(-1).clamp(min=1), counted.any(-1), reduction)


class F1WeightedCrossEntropy(nn.Module):
    """`f1_weighted_cross_entropy` with an F1 over the batches of training so far, of which the last ones count most.

    What F1 is a fraction of is averaged, not F1 itself, so that batches may be small. The sums are part of the state.

    Args:
        num_labels: number C of classes, for an F1 of each ("macro"); None: one for all ("micro").
        momentum: share of what came before in each mean; 0: the batch alone.
        reduction: as in the function.
    """

    def __init__(self, num_labels: int | None = None, momentum: float = 0.99, reduction: str = "mean") -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self.average = "micro" if num_labels is None else "macro"
        self.momentum = momentum
        self.reduction = reduction
        self.errors: Tensor
        self.sizes: Tensor
        for name in ("errors", "sizes"):
            self.register_buffer(name, torch.zeros(num_labels or 1))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of ``logits`` and ``labels``, each ``[..., C]``; in training they count in F1 first."""
        if self.training:
            errors, sizes, _ = smooth_f1_sums(*multi_label_rows(logits.detach(), labels), self.average)
            for name, new in (("errors", errors), ("sizes", sizes)):
                kept = getattr(self, name)
                kept.mul_(self.momentum).add_((1 - self.momentum) * new.to(kept.dtype))
        tiny = torch.finfo(self.sizes.dtype).tiny
        f1 = 1 - self.errors / self.sizes.clamp_min(tiny)
        return f1_weighted_cross_entropy(logits, labels, f1, reduction=self.reduction)
