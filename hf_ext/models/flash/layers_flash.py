"""The gated attention units of FLASH (arXiv 2202.10447; kexue.fm/archives/8934).

Shapes: B rows, L tokens, H hidden, I width of gate and values, K key size, C chunk size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from hf_ext.models.flash.cache_flash import FLASHCache
from hf_ext.models.flash.configuration_flash import FLASHConfig
from hf_ext.modules.embeddings import TokenTable, TypeTable
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.ops.mixed_chunk_attention import (
    extend_state,
    mixed_chunk_attention,
    squared_relu_attention,
    step_state,
)
from hf_ext.ops.rotary import apply_rotary
from hf_ext.ops.row_alignment import RowAlignment

CosSin = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Surroundings:
    """What all layers of a forward pass need to know of the tokens.

    Attributes:
        rotation: cos and sin ``[B or 1, L, K/2]`` of the tokens' positions.
        query_places: cos and sin ``[1, Lq, K/2]`` of the places that the relative bias compares, those of queries. In
            mixed chunk attention the places are those in a chunk; in a step with a cache, that of each row's token.
        key_places: the same of keys, ``[1, Lk, K/2]``.
        visible: bool. In mixed chunk attention ``[B, L]``, True at real tokens; else ``[B or 1, L or 1, S]``, True
            where a query sees a key. None: everywhere.
    """

    rotation: CosSin
    query_places: CosSin
    key_places: CosSin
    visible: Tensor | None


class ScaleNorm(nn.Module):
    """``x / sqrt(mean(x^2) + eps)`` with one learned gain for the whole vector."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps
        # Of one dimension, as a number without any cannot be sharded.
        self.weight = nn.Parameter(torch.ones(1))

    def init_weights(self) -> None:
        """Begin with a gain of 1."""
        init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``x`` ``[..., H]``; half precision is squared in float32."""
        return F.rms_norm(x, x.shape[-1:], eps=self.eps) * self.weight


def make_flash_norm(config: FLASHConfig) -> nn.Module:
    """Build the norm that the config names."""
    if config.norm_type == "layer_norm":
        return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
    return ScaleNorm(config.layer_norm_eps)


class FLASHEmbeddings(nn.Module):
    """Token and token-type embeddings, without position embeddings."""

    def __init__(self, config: FLASHConfig):
        super().__init__()
        size = config.resolved_embedding_size
        self.word_embeddings = TokenTable(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.token_type_embeddings = TypeTable(config.type_vocab_size, size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, inputs_embeds: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Add types to ``inputs_embeds`` ``[B, L, E]``; without ``token_type_ids`` ``[B, L]`` all are of type 0."""
        if token_type_ids is None:
            types = self.token_type_embeddings.weight[0]
        else:
            types = self.token_type_embeddings(token_type_ids)
        return self.dropout(inputs_embeds + types)


class ScaleOffset(nn.Module):
    """Several vectors from one, each by a scale and an offset of its own."""

    def __init__(self, vectors: int, size: int, initializer_range: float):
        super().__init__()
        self.initializer_range = initializer_range
        self.weight = nn.Parameter(torch.empty(vectors, size))
        self.bias = nn.Parameter(torch.empty(vectors, size))

    def init_weights(self) -> None:
        """Begin with small scales and without offsets, as the paper does."""
        init.normal_(self.weight, std=self.initializer_range)
        init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Make ``[B, L, vectors, K]`` of ``x`` ``[B, L, K]``."""
        return torch.addcmul(self.bias, x.unsqueeze(-2), self.weight)


class RelativeBias(nn.Module):
    """The paper's bias for any length: two vectors, turned by the places of query and key, in a scalar product."""

    def __init__(self, size: int, initializer_range: float):
        super().__init__()
        self.initializer_range = initializer_range
        self.query_weight = nn.Parameter(torch.empty(size))
        self.key_weight = nn.Parameter(torch.empty(size))

    def init_weights(self) -> None:
        """Begin with small vectors."""
        init.normal_(self.query_weight, std=self.initializer_range)
        init.normal_(self.key_weight, std=self.initializer_range)

    def forward(self, query_places: CosSin, key_places: CosSin) -> Tensor:
        """``[Lq, Lk]`` of cos and sin ``[1, Lq, K/2]`` and ``[1, Lk, K/2]``, in float32 or better."""
        query, key = (
            apply_rotary(weight.to(cos.dtype).expand(1, cos.shape[1], 1, -1), cos, sin)[0, :, 0]
            for weight, (cos, sin) in ((self.query_weight, query_places), (self.key_weight, key_places))
        )
        with torch.autocast(query.device.type, enabled=False):
            return query @ key.T


class GatedAttentionUnit(nn.Module):
    """``(u * attention(v)) W_o``, with queries and keys from one narrow projection.

    ``[u, v, z] = split(act(x W_i))``; every query and key is z with a scale and an offset of its own, rotated.
    """

    def __init__(self, config: FLASHConfig, layer_idx: int, vectors: int):
        super().__init__()
        self.layer_idx = layer_idx
        self.sizes = [config.intermediate_size, config.intermediate_size, config.attention_key_size]
        self.scaling = config.attention_scaling
        self.is_causal = config.resolved_attention_mode == "causal"
        self.i_dense = nn.Linear(config.hidden_size, sum(self.sizes), bias=config.use_bias)
        self.activation = ACT2FN[config.hidden_act]
        self.scale_offset = ScaleOffset(vectors, config.attention_key_size, config.initializer_range)
        self.relative_bias = RelativeBias(config.attention_key_size, config.initializer_range)
        self.o_dense = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.use_bias)

    def attend(
        self, vectors: tuple[Tensor, ...], value: Tensor, surroundings: Surroundings, cache: Cache | None
    ) -> Tensor:
        """Attend with queries and keys ``[B, L, K]`` to ``value`` ``[B, L, I]``."""
        raise NotImplementedError

    @takes_past_key_values
    def forward(self, hidden_states: Tensor, surroundings: Surroundings, cache: Cache | None) -> Tensor:
        """Transform ``hidden_states`` ``[B, L, H]``."""
        gate, value, base = self.activation(self.i_dense(hidden_states)).split(self.sizes, dim=-1)
        vectors = apply_rotary(self.scale_offset(base), *surroundings.rotation).unbind(-2)
        return self.o_dense(gate * self.attend(vectors, value, surroundings, cache))


class QuadraticUnit(GatedAttentionUnit):
    """A unit whose attention is over the whole text."""

    def __init__(self, config: FLASHConfig, layer_idx: int):
        super().__init__(config, layer_idx, vectors=2)

    def attend(
        self, vectors: tuple[Tensor, ...], value: Tensor, surroundings: Surroundings, cache: Cache | None
    ) -> Tensor:
        """Attend to all that is visible."""
        query, key = vectors
        if cache is not None:
            # A cache has keys and values by heads; here is one.
            key, value = (x[:, 0] for x in cache.update(key[:, None], value[:, None], self.layer_idx))
        bias = self.relative_bias(surroundings.query_places, surroundings.key_places)
        return squared_relu_attention(query, key, value, self.scaling, bias, surroundings.visible)


class MixedChunkUnit(GatedAttentionUnit):
    """A unit whose attention is quadratic in chunks and linear across them."""

    def __init__(self, config: FLASHConfig, layer_idx: int):
        super().__init__(config, layer_idx, vectors=4)
        self.chunk_size = config.chunk_size

    def attend(
        self, vectors: tuple[Tensor, ...], value: Tensor, surroundings: Surroundings, cache: Cache | None
    ) -> Tensor:
        """Attend to the chunk and to the rest of the text, after what is in the cache."""
        query, key, linear_query, linear_key = vectors
        real = surroundings.visible
        bias = self.relative_bias(surroundings.query_places, surroundings.key_places)
        parts = query, key, linear_query, linear_key, value
        if cache is None:
            return mixed_chunk_attention(*parts, self.chunk_size, self.is_causal, real, bias, self.scaling)
        assert isinstance(cache, FLASHCache)
        state = cache.states.get(self.layer_idx)
        if state is not None and value.shape[1] == 1:
            out, state = step_state(state, *parts, self.chunk_size, real, bias, self.scaling)
        else:
            out, state = extend_state(state, *parts, self.chunk_size, real, bias, self.scaling)
        cache.states[self.layer_idx] = state
        return out


class FLASHLayer(GradientCheckpointingLayer):
    """Norm, gated attention unit, residual."""

    def __init__(self, config: FLASHConfig, layer_idx: int):
        super().__init__()
        self.norm = make_flash_norm(config)
        self.gau = (MixedChunkUnit if config.attention == "mixed_chunk" else QuadraticUnit)(config, layer_idx)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    @takes_past_key_values
    def forward(
        self,
        hidden_states: Tensor,
        surroundings: Surroundings,
        cache: Cache | None = None,
        alignment: RowAlignment | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Transform ``hidden_states`` ``[B, L, H]``; given an ``alignment``, its rows are aligned within."""
        x = hidden_states if alignment is None else alignment.align(hidden_states)
        x = x + self.dropout(self.gau(self.norm(x), surroundings, cache))
        return x if alignment is None else alignment.restore(x, len(hidden_states))
