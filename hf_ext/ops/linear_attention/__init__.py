"""Linear attention: similarities that are products of feature maps, so that sums over the keys serve all queries."""

from hf_ext.ops.linear_attention.chunked import linear_attention
from hf_ext.ops.linear_attention.kernels import KERNELS, check_kernel
from hf_ext.ops.linear_attention.random_features import random_features
from hf_ext.ops.linear_attention.state import LinearAttentionState, extend_state

__all__ = [
    "KERNELS",
    "LinearAttentionState",
    "check_kernel",
    "extend_state",
    "linear_attention",
    "random_features",
]
