"""Which form of gated attention runs: by the device, the type, the size, and whether a graph is being compiled."""

import os
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.gated_attention.fused import fused_gated_attention
from hf_ext.ops.gated_attention.naive import Rotation, naive_gated_attention
from hf_ext.ops.graphs import in_graph


def gated_attention(
    projected: Tensor,
    query_scale: Tensor,
    key_scale: Tensor,
    query_rotation: Rotation,
    key_rotation: Rotation,
    mask: Tensor | None = None,
    lengths: list[int] | None = None,
    dropout: float = 0.0,
    activation: Callable[[Tensor], Tensor] = F.silu,
) -> Tensor:
    """The inside of a gated attention unit, ``u * (softmax(q k^T) v)`` with ``[u, v, z] = silu(projected)``.

    q and k are z times their scales, rotated. There is one head of size K, and values are I wide (arXiv 2202.10447;
    kexue.fm/archives/9052). Gradients of first order.

    Args:
        projected: ``[B, L, 2I + K]``, before the activation.
        query_scale: ``[K]``.
        key_scale: ``[K]``.
        query_rotation: cosines and sines ``[B or 1, L, K/2]`` from :func:`hf_ext.ops.rotary.rotary_cos_sin`, times what
            the scores of each query are multiplied by (``K^-0.5``, and :func:`log_n_factor`).
        key_rotation: cosines and sines ``[B or 1, L, K/2]``.
        mask: bool ``[B or 1, 1, L or 1, L]``, True where a query sees a key, or additive; None: all are seen. The
            output of a query that sees none is finite and means nothing.
        lengths: lengths of the sequences of a packed row (B = 1), none of which sees another; then without ``mask``.
        dropout: probability of dropping an attention weight.
        activation: of the projection; all but ``silu`` run in the readable form.

    Returns:
        ``[B, L, I]``.

    Raises:
        ValueError: if sizes do not fit, or both ``mask`` and ``lengths`` are given.
    """
    rows, length, width = projected.shape
    size = query_scale.shape[0]
    if width <= size or (width - size) % 2 or size % 2 or key_scale.shape != query_scale.shape:
        raise ValueError(
            "projected must be [B, L, 2I + K] and both scales [K] with K even, got "
            f"{tuple(projected.shape)}, {tuple(query_scale.shape)} and {tuple(key_scale.shape)}"
        )
    if lengths is not None and (mask is not None or rows != 1 or sum(lengths) != length):
        raise ValueError(
            "lengths must add up to the length of one row without a mask, got "
            f"{lengths} for {rows} rows of {length} with mask {'None' if mask is None else 'given'}"
        )
    # Under compilation the readable form is what gets fused.
    if in_graph() or activation is not F.silu or projected.numel() == 0:
        return naive_gated_attention(
            projected, query_scale, key_scale, query_rotation, key_rotation, mask, lengths, dropout, activation
        )
    in_triton = fits_triton(projected, size, mask, dropout)
    return fused_gated_attention(
        projected, query_scale, key_scale, query_rotation, key_rotation, mask, lengths, dropout, in_triton
    )


def fits_triton(projected: Tensor, size: int, mask: Tensor | None, dropout: float) -> bool:
    """Whether the kernel is asked for (``HF_EXT_TRITON=1``) and takes these inputs.

    It takes half precision on an NVIDIA GPU that has bfloat16, without dropped weights. It has agreed with its twin in
    Triton's interpreter, and not yet been run on a GPU by its authors: until then it runs for those alone who ask.
    """
    return (
        os.environ.get("HF_EXT_TRITON") == "1"
        and projected.device.type == "cuda"
        and projected.dtype in (torch.float16, torch.bfloat16)
        and projected.is_contiguous()
        and size <= 128
        and not dropout
        and (mask is None or mask.dtype == torch.bool)
        and find_spec("triton") is not None
        and torch.version.hip is None
        and torch.cuda.get_device_capability(projected.device) >= (8, 0)
    )
