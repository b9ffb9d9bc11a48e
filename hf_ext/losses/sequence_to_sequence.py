"""Cross-entropy of the tokens of a target that follows its source in the same row (UniLM).

Shapes: B batch, L tokens, V vocabulary. Labels are ids, not shifted, -100 where nothing is asked.
"""

from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.precision import at_least_float32


def target_labels(input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
    """Labels ``[B, L]`` that ask for the target, which has token type 1; source and padding have 0."""
    return input_ids.masked_fill(token_type_ids == 0, -100)


def sequence_to_sequence_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the cross-entropies of each row.

    Args:
        logits: ``[B, L, V]``, at each token those of the next.
        labels: ``[B, L]``.

    Returns:
        ``[B]``, in float32 or better; 0 for a row without labels.
    """
    losses = F.cross_entropy(at_least_float32(logits[:, :-1]).mT, labels[:, 1:], reduction="none")
    return losses.sum(-1)


def sequence_to_sequence_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of the cross-entropies of all tokens asked for, a scalar; arguments as in `sequence_to_sequence_losses`."""
    count = (labels[:, 1:] != -100).sum().clamp(min=1)
    return sequence_to_sequence_losses(logits, labels).sum() / count
