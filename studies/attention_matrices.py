"""Attention matrices as a whole, those of linear attention among them, and how sparse and of what rank they are.

Shapes: B texts, N heads, L tokens, H hidden, D size of a value.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.models.linear_roformer.layers_linear_roformer import LinearSelfAttention
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.ops.linear_attention.chunked import divide
from hf_ext.ops.linear_attention.kernels import make_features
from hf_ext.ops.window_attention import window_mask


class MaterialisedAttention(nn.Module):
    """Linear attention by its matrix of weights, which can be cut to a window.

    Args:
        attention: whose parameters it has.
        window: number of keys that a query sees, as ``attention_window`` of a RoFormer; None: all.
    """

    def __init__(self, attention: LinearSelfAttention, window: int | None = None):
        super().__init__()
        self.attention = attention
        self.window = window

    def forward(
        self, hidden_states: Tensor, attention_mask: None = None, positions: tuple[Tensor, ...] = (), **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Attend within ``hidden_states`` ``[B, L, H]`` without padding.

        Returns:
            The joined heads ``[B, L, N * D]``, and the weights ``[B, N, L, L]``.
        """
        assert attention_mask is None
        value = self.attention.heads(self.attention.value(hidden_states)).transpose(1, 2)
        weights = self.weights(hidden_states, positions)
        return (weights @ value.to(weights.dtype)).transpose(1, 2).flatten(-2).to(value.dtype), weights

    def weights(self, hidden_states: Tensor, positions: tuple[Tensor, ...]) -> Tensor:
        """``[B, N, L, L]``, in float32 or better.

        Of rotated features they may be negative, and their rows need not sum to 1.
        """
        attention, length = self.attention, hidden_states.shape[1]
        query, key = (
            layer(hidden_states).unflatten(-1, (-1, attention.key_size)).transpose(1, 2)
            for layer in (attention.query, attention.key)
        )
        rotation: Any = positions or None
        omega = attention.random_features.omega if attention.kernel == "favor" else None
        seen = window_mask(length, length, self.window or 2 * length, attention.is_causal)
        with torch.autocast(hidden_states.device.type, enabled=False):
            features = make_features(query, key, attention.kernel, attention.is_causal, omega=omega, rotation=rotation)
            above = features.turned_query @ features.turned_key.mT * seen
            if not features.divided:
                return above
            below = features.query @ features.key.mT * seen
            return divide(above, below.sum(-1, keepdim=True))


def materialise(model: Any, window: int | None = None) -> None:
    """Have the linear attentions of a model make their matrices, cut to ``window`` unless it is None."""
    for layer in model.base_model.encoder.layer:
        layer.attention.self = MaterialisedAttention(layer.attention.self, window)


def matrices_of(model: Any, ids: Tensor) -> Tensor:
    """The weights of all layers on texts ``ids`` ``[B, L]``: ``[layers, B, N, L, L]``.

    Args:
        model: whose attentions return their weights: a RoFormer in its eager mode, or one of linear attention after
            :func:`materialise`.
        ids: of texts without padding.
    """
    found: list[Tensor] = []
    hooks = [
        layer.attention.self.register_forward_hook(lambda module, inputs, output: found.append(output[1]))
        for layer in model.base_model.encoder.layer
    ]
    try:
        with evaluation_mode(model), torch.no_grad():
            model.base_model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(found)


def mean_rank(matrices: Tensor, energy: float = 0.99) -> float:
    """How many singular values of a matrix ``[..., L, L]``, the largest first, have so much of its energy, on average.

    Energy is the sum of their squares.
    """
    squares = torch.linalg.svdvals(matrices.double()).square()
    shares = squares.cumsum(-1) / squares.sum(-1, keepdim=True)
    return float((shares < energy).sum(-1).double().mean() + 1)


def mean_entropy(matrices: Tensor, causal: bool) -> float:
    """Entropy of the rows of matrices ``[..., L, L]`` over that of equal weights, on average: 1 where all are equal.

    Negative weights count by their size. Where there is one key to look at, there is no entropy to speak of.
    """
    sizes = matrices.double().abs()
    entropy = torch.special.entr(sizes / sizes.sum(-1, keepdim=True)).sum(-1)
    length = entropy.shape[-1]
    keys = torch.arange(2, length + 1) if causal else torch.full((length,), length)
    return float((entropy[..., length - len(keys) :] / keys.double().log()).mean())


def negative_share(matrices: Tensor) -> float:
    """The part of the sizes of all weights that negative ones have."""
    return float(matrices.clamp(max=0).double().abs().sum() / matrices.double().abs().sum())
