"""The layers of GAU-alpha (kexue.fm/archives/9052; arXiv 2202.10447, 2205.05842).

Shapes: B batch, L tokens, H hidden, I width of gate and values, K size of the one query and key head. Parameter names
are those of the checkpoints on the Hub.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, initialization as init
from transformers.activations import ACT2FN
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_layers import GradientCheckpointingLayer

from hf_ext.models.gau_alpha.configuration_gau_alpha import GAUAlphaConfig
from hf_ext.modules.extrapolating_attention import Sight, attend_in_sight, turns, unit_keys
from hf_ext.modules.norm import UncenteredNorm
from hf_ext.modules.normalised_attention import normalised_attention_forward
from hf_ext.modules.transformer_block import LayerStack
from hf_ext.ops.gated_attention import Rotation, gated_attention, log_n_factor, split_projection, visible_keys
from hf_ext.ops.key_counts import key_counts
from hf_ext.ops.window_attention import window_reach
from hf_ext.transformers_private import attention_implementation

FUSED = "gated_attention"
"""The attention implementation that runs the whole unit at once."""

# To models without gated attention units the name means sdpa, whose masks it shares.
AttentionInterface.register(FUSED, sdpa_attention_forward)
AttentionMaskInterface.register(FUSED, sdpa_mask)


class Scale(nn.Module):
    """A factor for each channel."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def init_weights(self) -> None:
        """Begin without an effect."""
        init.ones_(self.weight)


class GatedAttentionUnit(nn.Module):
    """Attention of one head whose output is gated: ``(u * softmax(q k^T) v) W_o``, ``[u, v, z] = act(x W_i)``."""

    def __init__(self, config: GAUAlphaConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.is_causal = False
        inner, size = config.intermediate_size, config.attention_key_size
        self.i_dense = nn.Linear(config.hidden_size, 2 * inner + size, bias=False)
        self.q_scaleoffset = Scale(size)
        self.k_scaleoffset = Scale(size)
        self.o_dense = nn.Linear(inner, config.hidden_size, bias=False)
        self.activation = F.silu if config.hidden_act in ("swish", "silu") else ACT2FN[config.hidden_act]
        self.dropout = config.attention_probs_dropout_prob

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any,
        rotations: tuple[Rotation, Rotation],
        sequence_lengths: list[int] | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within ``hidden_states`` ``[B, L, H]``.

        Args:
            hidden_states: ``[B, L, H]``.
            attention_mask: in the back end's form.
            rotations: of queries and of keys, cosines and sines ``[B or 1, L, K/2]`` each.
            sequence_lengths: lengths of the sequences of a packed row.
            **kwargs: passed on to the back end.

        Returns:
            ``[B, L, H]``, and in eager mode the weights ``[B, 1, L, L]``.
        """
        projected = self.i_dense(hidden_states)
        scales = self.q_scaleoffset.weight, self.k_scaleoffset.weight
        dropout = self.dropout if self.training else 0.0
        other_norm = self.config.attention_normalization != "softmax"
        if attention_implementation(self.config) == FUSED and not other_norm:
            gated = gated_attention(
                projected, *scales, *rotations, attention_mask, sequence_lengths, dropout, self.activation
            )
            return self.o_dense(gated), None
        gate, *heads = split_projection(projected, *scales, *rotations, self.activation)
        query, key, value = (x.unsqueeze(1) for x in heads)
        if self.config.key_norm:
            key = unit_keys(key)
        if other_norm:
            normalization = self.config.attention_normalization
            kwargs |= {"function": normalised_attention_forward, "normalization": normalization}
        # What scales the scores is part of the queries' rotation.
        attended, weights = attend_in_sight(
            self, query, key, value, attention_mask, 1.0, dropout, sequence_lengths=sequence_lengths, **kwargs
        )
        return self.o_dense(gate * attended.squeeze(2)), weights


class GAUAlphaLayer(GradientCheckpointingLayer):
    """A block: the unit, its residual and a norm."""

    def __init__(self, config: GAUAlphaConfig, layer_idx: int):
        super().__init__()
        self.gau = GatedAttentionUnit(config, layer_idx)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.norm = UncenteredNorm(config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Transform ``hidden_states`` ``[B, L, H]``."""
        return self.norm(hidden_states + self.dropout(self.gau(hidden_states, *args, **kwargs)[0]))


class GAUAlphaEncoder(LayerStack):
    """The blocks, and what they share: rotations that also scale the scores."""

    def __init__(self, config: GAUAlphaConfig):
        super().__init__([GAUAlphaLayer(config, i) for i in range(config.num_hidden_layers)])
        self.config = config

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        positions: tuple[Tensor, ...] = (),
        sequence_lengths: list[int] | None = None,
        sight: Sight | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Run ``[B, L, H]`` through all blocks; ``positions`` are cosines and sines ``[B or 1, L, K/2]``."""
        cos, sin = positions[:2]
        if not turns(self.config, 0):
            cos, sin = torch.ones_like(cos), torch.zeros_like(sin)
        scale = self.score_scale(hidden_states, attention_mask, sequence_lengths, sight).to(cos.dtype)
        # The rotation has the factor already.
        sight = replace(sight, log_n=None) if sight is not None else None
        return super().forward(
            hidden_states,
            attention_mask,
            rotations=((cos * scale, sin * scale), (cos, sin)),
            sequence_lengths=sequence_lengths,
            sight=sight,
            **kwargs,
        )

    def score_scale(
        self, hidden_states: Tensor, mask: Any, lengths: list[int] | None, sight: Sight | None = None
    ) -> Tensor:
        """What each query's scores are multiplied by, ``[B or 1, L or 1, 1]``."""
        config = self.config
        scale = config.attention_key_size**-0.5 if config.attention_scale and not config.key_norm else 1.0
        if config.normalization == "softmax":
            factor = sight.log_n if sight is not None else None
            if factor is None:
                dtype = torch.promote_types(hidden_states.dtype, torch.float32)
                factor = hidden_states.new_ones((1, 1), dtype=dtype)
            return (factor * scale).unsqueeze(-1)
        length = hidden_states.shape[1]
        if config.attention_window is not None:
            groups = sight.groups if sight is not None else None
            if groups is None:
                groups = torch.zeros(1, length, dtype=torch.long, device=hidden_states.device)
            keys = key_counts(groups, length, *window_reach(config.attention_window, False))
        else:
            keys = visible_keys(length, mask, lengths, hidden_states.device)
        return (log_n_factor(keys, config.softmax_plus_min_keys) * scale).unsqueeze(-1)
