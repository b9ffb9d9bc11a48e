"""GlobalPointer and Efficient GlobalPointer (kexue.fm/archives/8373 and 8877; arXiv 2208.03054)."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization as init

from hf_ext.ops.pointer import efficient_pointer_scores, pointer_scores, span_mask
from hf_ext.ops.pointer_loss import efficient_pointer_loss, pointer_loss
from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin
from hf_ext.ops.top_spans import efficient_pointer_top_spans, pointer_top_spans


class SpanScorer(nn.Module):
    """What the two pointers share: ``score(*project(hidden), allowed)``, and what is had without the scores."""

    score: ClassVar[Callable[..., Tensor]]
    """Scores ``[B, C, L, L]`` of the parts that `project` gives and a mask."""

    losses: ClassVar[Callable[..., Tensor]]
    """Losses ``[B, C]`` of the parts, labels, a padding mask and whether spans are ordered."""

    top_spans: ClassVar[Callable[..., Tensor]]
    """Best spans ``[B, K, 4]`` of the parts, K, a padding mask and whether spans are ordered."""

    def __init__(self, num_labels: int, head_size: int, rope: bool, ordered: bool) -> None:
        super().__init__()
        if num_labels < 1:
            raise ValueError(f"num_labels must be at least 1, got {num_labels}")
        if head_size < 1 or (rope and head_size % 2):
            raise ValueError(f"head_size must be positive, and even with rotary positions, got {head_size}")
        self.num_labels = num_labels
        self.head_size = head_size
        self.rope = rope
        self.ordered = ordered

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Scores of all spans.

        Args:
            hidden: ``[B, L, H]``.
            attention_mask: ``[B, L]``, nonzero at real tokens; None if all are.

        Returns:
            ``[B, C, L, L]`` (row, type, start, end) in float32 or better, -inf at padding and, if ``ordered``, where
            the end is before the start.
        """
        return self.score(*self.project(hidden), self.allowed(hidden, attention_mask))

    def allowed(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor | None:
        """Where a span may stand: bool ``[B or 1, L, L]``, or None for everywhere."""
        if attention_mask is None and not self.ordered:
            return None
        return span_mask(hidden.shape[1], attention_mask, self.ordered, hidden.device)

    def project(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """What `score` takes, from ``[B, L, H]``."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Begin as the original: LeCun's normal weights, zero biases. Tensors loaded from a checkpoint are spared."""
        for layer in (module for module in self.children() if isinstance(module, nn.Linear)):
            # The constant is the deviation of a normal variable cut at two; Transformers' lecun_normal_ does not cut.
            deviation = layer.in_features**-0.5 / 0.87962566103423978
            init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if layer.bias is not None:
                init.zeros_(layer.bias)

    def _rotate(self, x: Tensor) -> Tensor:
        if not self.rope:
            return x
        # Rotated in float32: half precision would lose the angle between distant tokens.
        cos, sin = rotary_cos_sin(torch.arange(x.shape[1], device=x.device)[None], self.head_size)
        return apply_rotary(at_least_float32(x).contiguous(), cos, sin)

    def extra_repr(self) -> str:
        """The settings that the layers do not show."""
        return f"num_labels={self.num_labels}, head_size={self.head_size}, rope={self.rope}, ordered={self.ordered}"


class GlobalPointer(SpanScorer):
    """GlobalPointer: a pair of vectors for each type, ``s_c(i, j) = q_ci . k_cj / sqrt(D)``.

    Args:
        hidden_size: H.
        num_labels: number of types C.
        head_size: D, even with ``rope``.
        rope: rotate by position.
        ordered: forbid ends before starts.
        bias: whether the layer has a bias.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        head_size: int = 64,
        rope: bool = True,
        ordered: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(num_labels, head_size, rope, ordered)
        self.dense = nn.Linear(hidden_size, num_labels * 2 * head_size, bias=bias)

    def project(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Start and end vectors, each ``[B, L, C, D]``, of ``[B, L, H]``."""
        rotated = self._rotate(self.dense(hidden).unflatten(-1, (2 * self.num_labels, self.head_size)))
        query, key = rotated.unflatten(2, (self.num_labels, 2)).unbind(3)
        return query, key

    score = staticmethod(pointer_scores)
    losses: ClassVar[Callable[..., Tensor]] = staticmethod(pointer_loss)
    top_spans: ClassVar[Callable[..., Tensor]] = staticmethod(pointer_top_spans)


class EfficientGlobalPointer(SpanScorer):
    """Efficient GlobalPointer: one pair of vectors for all types, and two biases each.

    ``s_c(i, j) = q_i . k_j / sqrt(D) + start_ci + end_cj``.

    Args:
        hidden_size: H.
        num_labels: number of types C.
        head_size: D, even with ``rope``.
        rope: rotate by position.
        ordered: forbid ends before starts.
        bias: whether the layers have a bias.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        head_size: int = 64,
        rope: bool = True,
        ordered: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(num_labels, head_size, rope, ordered)
        self.p_dense = nn.Linear(hidden_size, 2 * head_size, bias=bias)
        self.q_dense = nn.Linear(2 * head_size, 2 * num_labels, bias=bias)

    def project(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Start and end vectors ``[B, L, D]`` and biases ``[B, L, C]`` of ``[B, L, H]``."""
        pair = self.p_dense(hidden)
        # Even columns are the start vector; of the biases, even ones belong to the end and odd ones to the start.
        query, key = self._rotate(pair.unflatten(-1, (self.head_size, 2)).transpose(-2, -1)).unbind(-2)
        bias = (self.q_dense(pair) / 2).unflatten(-1, (self.num_labels, 2))
        return query, key, bias[..., 1], bias[..., 0]

    score = staticmethod(efficient_pointer_scores)
    losses: ClassVar[Callable[..., Tensor]] = staticmethod(efficient_pointer_loss)
    top_spans: ClassVar[Callable[..., Tensor]] = staticmethod(efficient_pointer_top_spans)
