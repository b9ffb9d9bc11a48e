"""Post-norm transformer blocks, as in BERT, over attention that a family makes its own.

Shapes: B batch, L tokens, H hidden, N heads, D head size, I feed-forward width. Parameter names are BERT's.
"""

from typing import Any

from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer

from hf_ext.modules.attention import attend
from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.norm import make_norm
from hf_ext.modules.renamed_cache import takes_past_key_values


class SelfAttention(nn.Module):
    """Multi-head attention that knows no positions; a family that does overrides :meth:`place`."""

    def __init__(self, config: EncoderConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_size = config.head_size
        self.scaling = self.head_size**-0.5
        self.is_causal = config.resolved_attention_mode == "causal"
        self.query = nn.Linear(config.hidden_size, config.hidden_size, bias=config.use_bias)
        self.key = nn.Linear(config.hidden_size, config.hidden_size, bias=config.use_bias)
        self.value = nn.Linear(config.hidden_size, config.hidden_size, bias=config.use_bias)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def heads(self, x: Tensor) -> Tensor:
        """Split ``[B, L, N * D]`` into ``[B, L, N, D]``; under tensor parallelism N is this rank's share."""
        return x.view(*x.shape[:-1], -1, self.head_size)

    def place(
        self, query: Tensor, key: Tensor, value: Tensor, positions: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mark positions on ``[B, L, N, D]`` each; ``positions`` are the base model's ``position_tensors``."""
        return query, key, value

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with ``[B, N, L, D]``; returns ``[B, L, N, D]`` and the weights where there are any."""
        dropout = self.dropout.p if self.training else 0.0
        return attend(self, query, key, value, mask, scaling=self.scaling, dropout=dropout, **kwargs)

    @takes_past_key_values
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        positions: tuple[Tensor, ...] = (),
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within ``hidden_states`` ``[B, L, H]``; returns the joined heads and, in eager mode, the weights."""
        query, key, value = (self.heads(layer(hidden_states)) for layer in (self.query, self.key, self.value))
        query, key, value = (x.transpose(1, 2) for x in self.place(query, key, value, positions))
        if cache is not None:
            if isinstance(cache, EncoderDecoderCache):
                cache = cache.self_attention_cache
            key, value = cache.update(key, value, self.layer_idx)
        out, weights = self.attend(query, key, value, attention_mask, **kwargs)
        return out.reshape(*out.shape[:2], -1), weights


class CrossAttention(SelfAttention):
    """Attention to an encoder's output; without positions, as the two sides count theirs apart."""

    def __init__(self, config: EncoderConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.is_causal = False

    @takes_past_key_values
    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Any = None,
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``hidden_states`` ``[B, L, H]`` to ``encoder_hidden_states`` ``[B, S, H]``."""
        query = self.heads(self.query(hidden_states)).transpose(1, 2)
        if not isinstance(cache, EncoderDecoderCache):
            cache = None
        if cache is not None and cache.is_updated.get(self.layer_idx):
            stored: Any = cache.cross_attention_cache.layers[self.layer_idx]
            key, value = stored.keys, stored.values
        else:
            key = self.heads(self.key(encoder_hidden_states)).transpose(1, 2)
            value = self.heads(self.value(encoder_hidden_states)).transpose(1, 2)
            if cache is not None:
                key, value = cache.cross_attention_cache.update(key, value, self.layer_idx)
                cache.is_updated[self.layer_idx] = True
        out, weights = self.attend(query, key, value, attention_mask, **kwargs)
        return out.reshape(*out.shape[:2], -1), weights


class ResidualOutput(nn.Module):
    """Linear layer, dropout, residual and norm: the end of each sublayer."""

    def __init__(self, config: EncoderConfig, input_size: int):
        super().__init__()
        self.dense = nn.Linear(input_size, config.hidden_size, bias=config.use_bias)
        self.LayerNorm = make_norm(config.norm_type, config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.residual_scale = config.residual_scale

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Project ``x`` ``[B, L, I]`` and add it to ``residual`` ``[B, L, H]``."""
        if self.residual_scale != 1:
            residual = residual * self.residual_scale
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class AttentionSublayer(nn.Module):
    """Attention and its residual."""

    def __init__(self, config: EncoderConfig, attention: SelfAttention):
        super().__init__()
        self.self = attention
        self.output = ResidualOutput(config, config.hidden_size)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Attend, project, add and normalise ``[B, L, H]``."""
        return self.output(self.self(hidden_states, *args, **kwargs)[0], hidden_states)


class Intermediate(nn.Module):
    """First half of the feed-forward sublayer."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.use_bias)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Widen ``[B, L, H]`` to ``[B, L, I]``."""
        return self.activation(self.dense(hidden_states))


class TransformerLayer(GradientCheckpointingLayer):
    """A block: attention, in a decoder attention to the encoder, feed-forward."""

    def __init__(self, config: EncoderConfig, layer_idx: int, attention_class: type[SelfAttention] = SelfAttention):
        super().__init__()
        self.attention = AttentionSublayer(config, attention_class(config, layer_idx))
        if config.add_cross_attention:
            self.crossattention = AttentionSublayer(config, CrossAttention(config, layer_idx))
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size)

    @takes_past_key_values
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        positions: tuple[Tensor, ...] = (),
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Any = None,
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Transform ``hidden_states`` ``[B, L, H]``."""
        hidden_states = self.attention(hidden_states, attention_mask, positions=positions, cache=cache, **kwargs)
        if encoder_hidden_states is not None:
            hidden_states = self.crossattention(
                hidden_states, encoder_hidden_states, encoder_attention_mask, cache=cache
            )
        return self.output(self.intermediate(hidden_states), hidden_states)


class LayerStack(nn.Module):
    """Blocks one after the other, under the name that checkpoints have."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.layer = nn.ModuleList(layers)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Run ``[B, L, H]`` through all blocks."""
        for layer in self.layer:
            hidden_states = layer(hidden_states, *args, **kwargs)
        return hidden_states


def transformer_stack(config: EncoderConfig, attention_class: type[SelfAttention] = SelfAttention) -> LayerStack:
    """All blocks of a model whose attention is of the given class."""
    return LayerStack([TransformerLayer(config, i, attention_class) for i in range(config.num_hidden_layers)])
