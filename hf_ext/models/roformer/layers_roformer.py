"""The layers of RoFormer, V1 and V2 (kexue.fm/archives/8265, 8998; arXiv 2104.09864).

Shapes: B batch, L tokens, H hidden, N heads, D head size, E embedding size, I feed-forward width, V vocabulary.
Parameter names are those of Transformers' RoFormer and of the checkpoints on the Hub.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.modules.attention import attend
from hf_ext.modules.norm import make_norm
from hf_ext.ops.rotary import apply_rotary


class RoFormerEmbeddings(nn.Module):
    """Token and token-type embeddings: there is no position embedding."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        size = config.resolved_embedding_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = make_norm(config.norm_type, size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, inputs_embeds: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Add types to ``inputs_embeds`` ``[B, L, E]``; without ``token_type_ids`` ``[B, L]`` all are of type 0."""
        if token_type_ids is None:
            types = self.token_type_embeddings.weight[0]
        else:
            types = self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(inputs_embeds + types))


class RoFormerSelfAttention(nn.Module):
    """Multi-head attention, with rotated queries and keys unless it attends to an encoder."""

    def __init__(self, config: RoFormerConfig, layer_idx: int):
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

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with ``[B, N, L, D]`` and join the heads to ``[B, L, N * D]``."""
        dropout = self.dropout.p if self.training else 0.0
        out, weights = attend(self, query, key, value, mask, scaling=self.scaling, dropout=dropout, **kwargs)
        return out.reshape(*out.shape[:2], -1), weights

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        cos_sin: tuple[Tensor, ...] | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within ``hidden_states`` ``[B, L, H]``; returns the joined heads and, in eager mode, the weights."""
        query, key, value = (self.heads(layer(hidden_states)) for layer in (self.query, self.key, self.value))
        if cos_sin is not None:
            query, key = apply_rotary(query, *cos_sin), apply_rotary(key, *cos_sin)
            if self.config.rotary_value:
                value = apply_rotary(value, *cos_sin)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if past_key_values is not None:
            if isinstance(past_key_values, EncoderDecoderCache):
                past_key_values = past_key_values.self_attention_cache
            key, value = past_key_values.update(key, value, self.layer_idx)
        return self.attend(query, key, value, attention_mask, **kwargs)


class RoFormerCrossAttention(RoFormerSelfAttention):
    """Attention to an encoder's output; no rotation, as the two sides count their positions apart."""

    def __init__(self, config: RoFormerConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.is_causal = False

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Any = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``hidden_states`` ``[B, L, H]`` to ``encoder_hidden_states`` ``[B, S, H]``."""
        query = self.heads(self.query(hidden_states)).transpose(1, 2)
        cache = past_key_values if isinstance(past_key_values, EncoderDecoderCache) else None
        if cache is not None and cache.is_updated.get(self.layer_idx):
            stored: Any = cache.cross_attention_cache.layers[self.layer_idx]
            key, value = stored.keys, stored.values
        else:
            key = self.heads(self.key(encoder_hidden_states)).transpose(1, 2)
            value = self.heads(self.value(encoder_hidden_states)).transpose(1, 2)
            if cache is not None:
                key, value = cache.cross_attention_cache.update(key, value, self.layer_idx)
                cache.is_updated[self.layer_idx] = True
        return self.attend(query, key, value, attention_mask, **kwargs)


class RoFormerResidualOutput(nn.Module):
    """Linear layer, dropout, residual and norm: the end of each sublayer (post-norm)."""

    def __init__(self, config: RoFormerConfig, input_size: int):
        super().__init__()
        self.dense = nn.Linear(input_size, config.hidden_size, bias=config.use_bias)
        self.LayerNorm = make_norm(config.norm_type, config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Project ``x`` ``[B, L, I]`` and add it to ``residual`` ``[B, L, H]``."""
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class RoFormerAttention(nn.Module):
    """An attention sublayer."""

    def __init__(self, config: RoFormerConfig, layer_idx: int, cross: bool = False):
        super().__init__()
        self.self = (RoFormerCrossAttention if cross else RoFormerSelfAttention)(config, layer_idx)
        self.output = RoFormerResidualOutput(config, config.hidden_size)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Attend, project, add and normalise ``[B, L, H]``."""
        return self.output(self.self(hidden_states, *args, **kwargs)[0], hidden_states)


class RoFormerIntermediate(nn.Module):
    """First half of the feed-forward sublayer."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.use_bias)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Widen ``[B, L, H]`` to ``[B, L, I]``."""
        return self.activation(self.dense(hidden_states))


class RoFormerLayer(GradientCheckpointingLayer):
    """A block: attention, in a decoder attention to the encoder, feed-forward."""

    def __init__(self, config: RoFormerConfig, layer_idx: int):
        super().__init__()
        self.attention = RoFormerAttention(config, layer_idx)
        if config.add_cross_attention:
            self.crossattention = RoFormerAttention(config, layer_idx, cross=True)
        self.intermediate = RoFormerIntermediate(config)
        self.output = RoFormerResidualOutput(config, config.intermediate_size)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        cos_sin: tuple[Tensor, ...] | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Any = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Transform ``hidden_states`` ``[B, L, H]``."""
        hidden_states = self.attention(
            hidden_states, attention_mask, cos_sin=cos_sin, past_key_values=past_key_values, **kwargs
        )
        if encoder_hidden_states is not None:
            hidden_states = self.crossattention(
                hidden_states, encoder_hidden_states, encoder_attention_mask, past_key_values=past_key_values
            )
        return self.output(self.intermediate(hidden_states), hidden_states)


class RoFormerEncoder(nn.Module):
    """The stack of blocks."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        self.layer = nn.ModuleList(RoFormerLayer(config, i) for i in range(config.num_hidden_layers))

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Run ``[B, L, H]`` through all blocks."""
        for layer in self.layer:
            hidden_states = layer(hidden_states, *args, **kwargs)
        return hidden_states


class RoFormerPooler(nn.Module):
    """A vector for the whole text from its first token."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh() if config.pooler_activation == "tanh" else nn.Identity()

    def forward(self, first_token: Tensor) -> Tensor:
        """Project ``[B, H]``."""
        return self.activation(self.dense(first_token))


class RoFormerLMPredictionHeadTransform(nn.Module):
    """Dense, activation and norm before the output matrix."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.resolved_embedding_size)
        self.activation = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.resolved_embedding_size, eps=config.mlm_layer_norm_eps)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Transform ``[B, L, H]`` to ``[B, L, E]``."""
        return self.LayerNorm(self.activation(self.dense(hidden_states)))


class RoFormerLMPredictionHead(nn.Module):
    """Logits over the vocabulary; V2 has the output matrix alone."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        if config.norm_type == "rms_norm":
            self.transform: nn.Module = nn.Identity()
            self.decoder = nn.Linear(config.resolved_embedding_size, config.vocab_size, bias=False)
        else:
            self.transform = RoFormerLMPredictionHeadTransform(config)
            self.decoder = nn.Linear(config.resolved_embedding_size, config.vocab_size)
            self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Logits ``[B, L, V]`` of ``[B, L, H]``."""
        return self.decoder(self.transform(hidden_states))


class RoFormerOnlyMLMHead(nn.Module):
    """Holds the head under the name that checkpoints have."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        self.predictions = RoFormerLMPredictionHead(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Logits ``[B, L, V]`` of ``[B, L, H]``."""
        return self.predictions(hidden_states)
