"""The layers of the vision transformer with rotary positions.

Shapes: B images, C channels, L tokens, H hidden, N heads, D head size. Parameter names are rope-vit's.
"""

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from hf_ext.models.rope_vit.configuration_rope_vit import RoPEViTConfig
from hf_ext.modules.attention import attend
from hf_ext.ops.rotary import apply_rotary

CosSin = tuple[Tensor, Tensor]


class PatchEmbedding(nn.Module):
    """A vector for each patch."""

    def __init__(self, config: RoPEViTConfig):
        super().__init__()
        self.proj = nn.Conv2d(config.num_channels, config.hidden_size, config.patch_size, stride=config.patch_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """``[B, H, rows, columns]`` of ``[B, C, height, width]``."""
        return self.proj(pixel_values)


class RoPEViTAttention(nn.Module):
    """Multi-head attention whose queries and keys are turned by the places of their patches."""

    def __init__(self, config: RoPEViTConfig):
        super().__init__()
        self.config = config
        self.head_size = config.head_size
        self.scaling = self.head_size**-0.5
        self.is_causal = False
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=config.qkv_bias)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, rotation: CosSin | None) -> tuple[Tensor, Tensor | None]:
        """Attend within ``[B, L, H]``; returns the same and, in eager mode, the weights."""
        query, key, value = self.qkv(hidden_states).unflatten(-1, (3, -1, self.head_size)).unbind(2)
        if rotation is not None:
            query, key = apply_rotary(query, *rotation), apply_rotary(key, *rotation)
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        out, weights = attend(self, query, key, value, None, scaling=self.scaling, dropout=dropout)
        return self.proj(out.flatten(-2)), weights


class RoPEViTMLP(nn.Module):
    """The feed-forward layer."""

    def __init__(self, config: RoPEViTConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Transform ``[B, L, H]``."""
        return self.fc2(self.activation(self.fc1(hidden_states)))


class RoPEViTLayer(GradientCheckpointingLayer):
    """A pre-norm block with a learnt factor for each number that a sublayer adds."""

    def __init__(self, config: RoPEViTConfig):
        super().__init__()
        self.layer_scale_init_value = config.layer_scale_init_value
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = RoPEViTAttention(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = RoPEViTMLP(config)
        self.gamma_1 = nn.Parameter(torch.empty(config.hidden_size))
        self.gamma_2 = nn.Parameter(torch.empty(config.hidden_size))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def init_weights(self) -> None:
        """Begin with small factors."""
        init.constant_(self.gamma_1, self.layer_scale_init_value)
        init.constant_(self.gamma_2, self.layer_scale_init_value)

    def forward(self, hidden_states: Tensor, rotation: CosSin | None = None) -> Tensor:
        """Transform ``[B, L, H]``; ``rotation`` is cos and sin ``[1, L, (N,) D/2]``."""
        attended = self.attn(self.norm1(hidden_states), rotation)[0]
        hidden_states = hidden_states + self.dropout(self.gamma_1 * attended)
        return hidden_states + self.dropout(self.gamma_2 * self.mlp(self.norm2(hidden_states)))
