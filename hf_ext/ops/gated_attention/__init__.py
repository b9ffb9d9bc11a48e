"""The gated attention unit's inside: a readable form, one that saves memory, and one for GPUs; chosen by the inputs."""

from hf_ext.ops.gated_attention.dispatch import gated_attention
from hf_ext.ops.gated_attention.log_n import log_n_factor, visible_keys
from hf_ext.ops.gated_attention.naive import Rotation, naive_gated_attention, split_projection

__all__ = [
    "Rotation",
    "gated_attention",
    "log_n_factor",
    "naive_gated_attention",
    "split_projection",
    "visible_keys",
]
