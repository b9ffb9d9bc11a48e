"""What families share whose attention counts distances in tokens, from a sequence's first one or with a cache."""

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache

from hf_ext.modules.encoder_model import EncoderModel
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.modules.transformer_block import SelfAttention


class DistanceAttention(SelfAttention):
    """Multi-head attention whose :meth:`attend` is told where the first query stands among the keys."""

    @takes_past_key_values
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        positions: tuple[Tensor, ...] = (),
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within ``hidden_states`` ``[B, L, H]``; returns the joined heads and the weights."""
        cached: Any = cache.get_seq_length(self.layer_idx) if cache is not None else 0
        if isinstance(cached, Tensor):
            # A cache of fixed size counts in a tensor of its own, which the update changes.
            cached = cached.clone()
        return super().forward(hidden_states, attention_mask, positions, cache, first_query=cached, **kwargs)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Any, first_query: int | Tensor = 0, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with ``[B, N, L, D]``; returns ``[B, L, N, D]`` and the weights.

        Distances are those of tokens in their sequence. ``first_query`` is the number of cached keys.
        """
        raise NotImplementedError


class DistanceModel(EncoderModel):
    """Mixin of a base model, in place of `EncoderModel`, whose layers count distances in tokens."""

    def may_unpad(self, attention_mask: Tensor) -> bool:
        """Padding between tokens keeps them apart, and only rows without it may lose theirs."""
        starts = (attention_mask[:, 1:] != 0) & (attention_mask[:, :-1] == 0)
        runs = starts.sum(-1) + (attention_mask[:, 0] != 0)
        return bool((runs <= 1).all())
