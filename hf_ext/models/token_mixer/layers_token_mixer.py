"""The blocks of token mixers: gMLP, aMLP, Mixer, FNet, Synthesizer, external attention (kexue.fm/archives/8431).

Shapes: B rows, L tokens, T tokens of the longest text, H hidden, I width of the feed-forward layer, S keys of a memory.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from hf_ext.models.token_mixer.configuration_token_mixer import TokenMixerConfig
from hf_ext.models.token_mixer.surroundings_token_mixer import Surroundings
from hf_ext.models.token_mixer.synthesizer_token_mixer import SynthesizerAttention
from hf_ext.modules.embeddings import PositionTable, TokenEmbeddings
from hf_ext.modules.transformer_block import AttentionSublayer, Intermediate, ResidualOutput
from hf_ext.ops.masked_softmax import masked_softmax
from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.toeplitz import toeplitz_matrix


class TokenMixerEmbeddings(TokenEmbeddings):
    """Token and token-type embeddings, those of positions where there are any, and their norm."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__(config)
        if config.has_position_embeddings:
            self.position_embeddings = PositionTable(config.max_position_embeddings, config.resolved_embedding_size)

    def forward(self, inputs_embeds: Tensor, token_type_ids: Tensor | None, positions: tuple[Tensor, ...]) -> Tensor:
        """Add types and positions to ``inputs_embeds`` ``[B, L, E]`` and normalise."""
        embedded = self.add_types(inputs_embeds, token_type_ids)
        if hasattr(self, "position_embeddings"):
            embedded = embedded + self.position_embeddings(*positions)
        return self.dropout(self.LayerNorm(embedded))


def make_mixer_norm(config: TokenMixerConfig, size: int) -> nn.LayerNorm:
    """A norm of vectors of this size."""
    assert config.layer_norm_eps is not None
    return nn.LayerNorm(size, eps=config.layer_norm_eps)


class SpatialGate(nn.Module):
    """The gate of a gMLP: a matrix of tokens times what is gated by the other half."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        length = config.max_position_embeddings
        self.range = config.gate_initializer_range / length
        self.is_causal = config.resolved_attention_mode == "causal"
        self.LayerNorm = make_mixer_norm(config, config.intermediate_size // 2)
        if config.toeplitz:
            self.table = nn.Parameter(torch.empty(2 * length - 1))
        else:
            self.weight = nn.Parameter(torch.empty(length, length))
        self.bias = nn.Parameter(torch.empty(length))

    def init_weights(self) -> None:
        """Begin with a gate that is nearly 1."""
        init.uniform_(self.table if hasattr(self, "table") else self.weight, -self.range, self.range)
        init.ones_(self.bias)

    def matrix(self, length: int) -> Tensor:
        """What a token takes of each other one, ``[L, L]``."""
        longest = len(self.bias)
        if hasattr(self, "table"):
            whole = toeplitz_matrix(self.table[longest - length : longest + length - 1], length)
        else:
            whole = self.weight[:length, :length]
        return whole.tril() if self.is_causal else whole

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """The gate ``[B, L, I / 2]`` of ``x`` ``[B, L, I / 2]``."""
        length = around.length(x)
        return around.gather(self.matrix(length) @ around.spread(self.LayerNorm(x)) + self.bias[:length, None])


class TinyAttention(nn.Module):
    """aMLP's addition to the gate: attention of one small head."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.size = config.attention_key_size
        self.is_causal = config.resolved_attention_mode == "causal"
        self.qkv = nn.Linear(config.hidden_size, 3 * self.size, bias=False)
        self.out = nn.Linear(self.size, config.intermediate_size // 2)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """``[B, L, I / 2]`` of the normalised input ``[B, L, H]`` of the block."""
        query, key, value = around.spread(self.qkv(x)).chunk(3, dim=-1)
        visible = None if around.real is None else around.real[:, None]
        if self.is_causal:
            places = torch.arange(around.length(x), device=x.device)
            before = places <= places[:, None]
            visible = before if visible is None else visible & before
        weights = self.dropout(masked_softmax(query @ key.mT * self.size**-0.5, visible))
        return self.out(around.gather(weights.type_as(value) @ value))


class GatedBlock(nn.Module):
    """gMLP and aMLP: one sublayer in place of both, ``x + W_o (u * gate(v))`` of ``[u, v] = act(W_i LN(x))``."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.LayerNorm = make_mixer_norm(config, config.hidden_size)
        self.i_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.gate = SpatialGate(config)
        if config.mixer == "amlp":
            self.attention = TinyAttention(config)
        self.o_dense = nn.Linear(config.intermediate_size // 2, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """Transform ``[B, L, H]``."""
        y = self.LayerNorm(x)
        kept, gated = self.activation(self.i_dense(y)).chunk(2, dim=-1)
        gate = self.gate(gated, around)
        if hasattr(self, "attention"):
            gate = gate + self.attention(y, around)
        return x + self.dropout(self.o_dense(kept * gate))


class TokenFeedForward(nn.Module):
    """Mixer's layer across the tokens, the same for each feature."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        length = config.max_position_embeddings
        inner = config.token_intermediate_size or 2 * length
        self.initializer_range = config.initializer_range
        self.activation = ACT2FN[config.hidden_act]
        # Not linear layers, as these are cut to the length of the text.
        self.i_weight, self.i_bias = nn.Parameter(torch.empty(inner, length)), nn.Parameter(torch.empty(inner))
        self.o_weight, self.o_bias = nn.Parameter(torch.empty(length, inner)), nn.Parameter(torch.empty(length))

    def init_weights(self) -> None:
        """Begin as linear layers do."""
        for weight, bias in ((self.i_weight, self.i_bias), (self.o_weight, self.o_bias)):
            init.normal_(weight, std=self.initializer_range)
            init.zeros_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``[B, L, H]``, zero at padding."""
        length = x.shape[1]
        inner = self.activation(self.i_weight[:, :length] @ x + self.i_bias[:, None])
        return self.o_weight[:length] @ inner + self.o_bias[:length, None]


class MixerBlock(nn.Module):
    """MLP-Mixer: a feed-forward layer across the tokens, and one across the features."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.token_norm = make_mixer_norm(config, config.hidden_size)
        self.tokens = TokenFeedForward(config)
        self.feature_norm = make_mixer_norm(config, config.hidden_size)
        self.i_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.o_dense = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """Transform ``[B, L, H]``."""
        x = x + self.dropout(around.gather(self.tokens(around.spread(self.token_norm(x)))))
        return x + self.dropout(self.o_dense(self.activation(self.i_dense(self.feature_norm(x)))))


class WideLayerNorm(nn.LayerNorm):
    """A norm that computes in the type of its input, however narrow its own numbers are."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``x`` ``[..., H]``."""
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class FourierSublayer(nn.Module):
    """FNet's mixing and its residual."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        assert config.layer_norm_eps is not None
        self.LayerNorm = WideLayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """Transform ``[B, L, H]``; what is added has a sum over the whole text in it, so that all is in float32."""
        assert around.fourier is not None
        mixed = around.gather(around.fourier(around.spread(x)))
        return self.LayerNorm(mixed + at_least_float32(x)).to(x.dtype)


class ExternalAttention(nn.Module):
    """Attention to learnt keys and values, normalised over the tokens and then over the keys (arXiv 2105.02358)."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.initializer_range = config.initializer_range
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.memory_key = nn.Parameter(torch.empty(config.memory_size, config.hidden_size))
        self.memory_value = nn.Parameter(torch.empty(config.memory_size, config.hidden_size))
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def init_weights(self) -> None:
        """Draw the memory."""
        init.normal_(self.memory_key, std=self.initializer_range)
        init.normal_(self.memory_value, std=self.initializer_range)

    def forward(self, x: Tensor, around: Surroundings) -> tuple[Tensor]:
        """Transform ``[B, L, H]``."""
        visible = None if around.real is None else around.real.unsqueeze(-1)
        weights = masked_softmax(around.spread(self.query(x) @ self.memory_key.T), visible, dim=1)
        weights = self.dropout(weights / (weights.sum(-1, keepdim=True) + 1e-9))
        return (around.gather(weights).to(x.dtype) @ self.memory_value,)


class PostNormBlock(nn.Module):
    """BERT's block with another first sublayer."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        if config.mixer == "fnet":
            self.mixing: nn.Module = FourierSublayer(config)
        else:
            attention: Any = ExternalAttention(config) if config.mixer == "external" else SynthesizerAttention(config)
            self.mixing = AttentionSublayer(config, attention)
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size)

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """Transform ``[B, L, H]``."""
        x = self.mixing(x, around)
        return self.output(self.intermediate(x), x)


_BLOCKS: dict[str, type[nn.Module]] = {"gmlp": GatedBlock, "amlp": GatedBlock, "mlp": MixerBlock}


class TokenMixerLayer(GradientCheckpointingLayer):
    """The block of the mixer that the config names."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.block = _BLOCKS.get(config.mixer, PostNormBlock)(config)

    def forward(self, hidden_states: Tensor, around: Surroundings, **kwargs: Any) -> Tensor:
        """Transform ``hidden_states`` ``[B, L, H]``."""
        return self.block(hidden_states, around)
