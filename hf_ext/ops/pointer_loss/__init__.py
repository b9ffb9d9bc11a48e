"""The pointers' loss without the scores ``[B, C, L, L]``, and its readable twins."""

from hf_ext.ops.pointer_loss.dispatch import efficient_pointer_loss, pointer_loss
from hf_ext.ops.pointer_loss.labels import check_span_labels
from hf_ext.ops.pointer_loss.naive import dense_span_losses, naive_efficient_pointer_loss, naive_pointer_loss

__all__ = [
    "check_span_labels",
    "dense_span_losses",
    "efficient_pointer_loss",
    "naive_efficient_pointer_loss",
    "naive_pointer_loss",
    "pointer_loss",
]
