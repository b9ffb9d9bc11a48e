"""Squared-ReLU attention: within a text (quadratic), and within chunks with linear attention across them (linear)."""

from hf_ext.ops.mixed_chunk_attention.chunked import mixed_chunk_attention
from hf_ext.ops.mixed_chunk_attention.squared_relu import squared_relu_attention
from hf_ext.ops.mixed_chunk_attention.state import MixedChunkState, extend_state, step_state

__all__ = [
    "MixedChunkState",
    "extend_state",
    "mixed_chunk_attention",
    "squared_relu_attention",
    "step_state",
]
