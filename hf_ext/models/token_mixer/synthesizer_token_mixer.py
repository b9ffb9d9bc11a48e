"""Synthesizer: attention by scores that are learnt, or that a token makes alone (kexue.fm/archives/7430; 2005.00743).

Shapes: B rows of L tokens, R rows of M tokens of the grid, T tokens of the longest text, N heads, D head size,
H hidden.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from hf_ext.models.token_mixer.configuration_token_mixer import TokenMixerConfig
from hf_ext.models.token_mixer.surroundings_token_mixer import Surroundings
from hf_ext.ops.masked_softmax import masked_softmax


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[R, M, N * D]`` as ``[R, N, M, D]``."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class RandomScores(nn.Module):
    """The same scores for all texts: a matrix for each head, or the product of two narrow ones."""

    weight: Tensor
    query_weight: Tensor
    key_weight: Tensor

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        heads, length, rank = config.num_attention_heads, config.max_position_embeddings, config.synthesizer_rank
        self.scale = 1.0 if config.synthesizer_fixed else config.initializer_range
        sizes = {"weight": length} if rank is None else {"query_weight": rank, "key_weight": rank}
        for name, size in sizes.items():
            matrix = torch.empty(heads, length, size)
            if config.synthesizer_fixed:
                # No parameter, as a trainer would find it, and a load make it one that is trained.
                self.register_buffer(name, matrix)
            else:
                setattr(self, name, nn.Parameter(matrix))

    def init_weights(self) -> None:
        """Draw the matrices."""
        for matrix in (*self.parameters(), *self.buffers()):
            init.normal_(matrix, std=self.scale)

    def forward(self, hidden_states: Tensor, around: Surroundings) -> Tensor:
        """Scores ``[N, M, M]``, which ``hidden_states`` ``[B, L, H]`` do not tell in."""
        length = around.length(hidden_states)
        if hasattr(self, "weight"):
            return self.weight[:, :length, :length]
        return self.query_weight[:, :length] @ self.key_weight[:, :length].mT


class DenseScores(nn.Module):
    """Scores for each place that a token makes alone, by a feed-forward layer."""

    weight: Tensor
    bias: Tensor
    group_weight: Tensor
    group_bias: Tensor
    member_weight: Tensor
    member_bias: Tensor

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.heads, self.initializer_range = config.num_attention_heads, config.initializer_range
        self.hidden = nn.Linear(config.hidden_size, config.hidden_size)
        length, tile = config.max_position_embeddings, config.synthesizer_tile
        sizes = {"": length} if tile is None else {"group_": length // tile, "member_": tile}
        self.parts = list(sizes)
        for part, size in sizes.items():
            setattr(self, f"{part}weight", nn.Parameter(torch.empty(self.heads, size, config.head_size)))
            setattr(self, f"{part}bias", nn.Parameter(torch.empty(self.heads, size)))

    def init_weights(self) -> None:
        """Begin as linear layers do."""
        for part in self.parts:
            init.normal_(getattr(self, f"{part}weight"), std=self.initializer_range)
            init.zeros_(getattr(self, f"{part}bias"))

    def forward(self, hidden_states: Tensor, around: Surroundings) -> Tensor:
        """Scores ``[R, N, M, M]`` of ``hidden_states`` ``[B, L, H]``.

        Of two tiles, the first says what group of neighbours a place is in, the second which of them it is.
        """
        length = around.length(hidden_states)
        hidden = split_heads(around.spread(self.hidden(hidden_states).relu()), self.heads)
        if hasattr(self, "weight"):
            return hidden @ self.weight[:, :length].mT + self.bias[:, None, :length]
        group = hidden @ self.group_weight.mT + self.group_bias[:, None]
        member = hidden @ self.member_weight.mT + self.member_bias[:, None]
        return (group.unsqueeze(-1) * member.unsqueeze(-2)).flatten(-2)[..., :length]


class DotProductScores(nn.Module):
    """The scores of plain attention, to be mixed with others."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.heads, self.scaling = config.num_attention_heads, config.head_size**-0.5
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, around: Surroundings) -> Tensor:
        """Scores ``[R, N, M, M]`` of ``hidden_states`` ``[B, L, H]``."""
        query, key = (split_heads(around.spread(layer(hidden_states)), self.heads) for layer in (self.query, self.key))
        return query @ key.mT * self.scaling


_SCORES: dict[str, type[nn.Module]] = {"random": RandomScores, "dense": DenseScores, "dot_product": DotProductScores}


class SynthesizerAttention(nn.Module):
    """Attention by such scores, or by a mixture of several kinds with learnt weights that add up to 1."""

    def __init__(self, config: TokenMixerConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        kinds = [config.mixer.removeprefix("synthesizer_"), *(config.synthesizer_mixture or ())]
        self.scores = nn.ModuleDict({kind: _SCORES[kind](config) for kind in kinds})
        if len(kinds) > 1:
            self.mixture = nn.Parameter(torch.empty(len(kinds)))
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def init_weights(self) -> None:
        """Begin with equal shares."""
        if hasattr(self, "mixture"):
            init.zeros_(self.mixture)

    def forward(self, hidden_states: Tensor, around: Surroundings) -> tuple[Tensor]:
        """Joined heads ``[B, L, H]`` of ``hidden_states`` ``[B, L, H]``."""
        kinds = [make(hidden_states, around) for make in self.scores.values()]
        scores = kinds[0]
        if len(kinds) > 1:
            shares = self.mixture.softmax(0)
            scores = sum((share * kind for share, kind in zip(shares[1:], kinds[1:])), start=shares[0] * scores)
        weights = masked_softmax(scores, None if around.real is None else around.real[:, None, None])
        value = split_heads(around.spread(self.value(hidden_states)), self.heads)
        attended = F.dropout(weights, self.dropout.p, self.training).type_as(value) @ value
        return (around.gather(attended.transpose(1, 2).flatten(-2)),)
