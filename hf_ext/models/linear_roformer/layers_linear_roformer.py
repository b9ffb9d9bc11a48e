"""Linear attention as the attention of a block of RoFormer.

Shapes: B batch, L tokens, H hidden, N heads, D head size, M features, R rows of the texts one by one.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.cache_utils import Cache

from hf_ext.models.linear_roformer.cache_linear_roformer import LinearRoFormerCache
from hf_ext.models.linear_roformer.configuration_linear_roformer import LinearRoFormerConfig
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.modules.transformer_block import SelfAttention
from hf_ext.ops.linear_attention import extend_state, linear_attention, random_features
from hf_ext.ops.row_alignment import RowAlignment


class RandomFeatures(nn.Module):
    """The directions of Performer's features, which are drawn and not learnt.

    They are drawn by a seed, the layer and the number of the draw alone: the same in every process, and after a break.
    """

    omega: Tensor
    passes: Tensor

    def __init__(self, config: LinearRoFormerConfig, layer_idx: int):
        super().__init__()
        self.interval = config.redraw_interval
        self.source = (config.feature_seed * 1009 + layer_idx) * 1_000_003
        self.register_buffer("omega", torch.empty(config.resolved_feature_size, config.head_size))
        if self.interval is not None:
            self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def draw(self, number: int) -> Tensor:
        """The draw of a number, ``[M, D]``."""
        size, key_size = self.omega.shape
        return random_features(size, key_size, seed=(self.source + number) % 2**63)

    def init_weights(self) -> None:
        """Begin with the first draw."""
        init.copy_(self.omega, self.draw(0))
        if self.interval is not None:
            init.zeros_(self.passes)

    @torch.no_grad()
    def count_pass(self) -> None:
        """Count a forward pass in training, and draw anew where it is time."""
        if self.interval is None:
            return
        passes = int(self.passes) + 1
        self.passes.fill_(passes)
        if passes % self.interval == 0:
            # Not in place, as the pass before may still have to go back through the old ones.
            self.omega = self.draw(passes // self.interval).to(self.omega)


class LinearSelfAttention(SelfAttention):
    """Multi-head linear attention, whose features are rotated."""

    def __init__(self, config: LinearRoFormerConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        # A head may have set the mode after the config was made.
        config.validate_kernel()
        self.kernel = config.attention_kernel
        self.key_size = self.head_size
        if self.kernel == "favor":
            self.random_features = RandomFeatures(config, layer_idx)
        elif config.resolved_feature_size != self.head_size:
            self.key_size = config.resolved_feature_size
            width = self.key_size * config.num_attention_heads
            self.query = nn.Linear(config.hidden_size, width, bias=config.use_bias)
            self.key = nn.Linear(config.hidden_size, width, bias=config.use_bias)

    @takes_past_key_values
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        positions: tuple[Tensor, ...] = (),
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Attend within ``hidden_states`` ``[B, L, H]``, after what is in the cache.

        Args:
            hidden_states: ``[B, L, H]``.
            attention_mask: bool ``[B, L]``, True at real tokens; or where the texts of packed rows lie; None: all are
                real.
            positions: cos and sin ``[B or 1, L, M/2]``; none: features are not rotated.
            cache: of causal models.
            **kwargs: what other attentions take.

        Returns:
            The joined heads ``[B, L, N * D]``, and None, as there are no weights.
        """
        batch_size = hidden_states.shape[0]
        query, key = (layer(hidden_states).unflatten(-1, (-1, self.key_size)) for layer in (self.query, self.key))
        value = self.heads(self.value(hidden_states))
        real, alignment = attention_mask, None
        if isinstance(attention_mask, RowAlignment):
            alignment, real = attention_mask, attention_mask.real
            query, key, value = (alignment.align(x) for x in (query, key, value))
            positions = tuple(alignment.align(x.expand(batch_size, -1, -1)) for x in positions)
        query, key, value = (x.transpose(1, 2).contiguous() for x in (query, key, value))
        settings: dict[str, Any] = {
            "kernel": self.kernel,
            "real": real,
            "omega": self.random_features.omega if self.kernel == "favor" else None,
            "rotation": positions or None,
        }
        if cache is None:
            out = linear_attention(query, key, value, causal=self.is_causal, **settings)
        else:
            assert isinstance(cache, LinearRoFormerCache)
            out, state = extend_state(cache.states.get(self.layer_idx), query, key, value, **settings)
            cache.states[self.layer_idx] = state
        out = out.transpose(1, 2)
        if alignment is not None:
            out = alignment.restore(out, batch_size)
        return out.reshape(*out.shape[:2], -1), None
