"""One layer over one vector of a row, without pooler or dropout, as in the CLUE baselines (kexue.fm/archives/8739)."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PreTrainedConfig, initialization as init

from hf_ext.ops.pooling import first_token, max_of_tokens, mean_of_tokens
from hf_ext.ops.precision import at_least_float32
from hf_ext.tasks.base.head import EncoderHead

LINEAR_POOLINGS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "first_token": first_token,
    "mean": mean_of_tokens,
    "max": max_of_tokens,
}
"""What a row's vector is made of those of its tokens ``[B, L, H]``, by the name in ``config.linear_pooling``."""


class PooledLinear(nn.Module):
    """A linear layer over one vector of a row.

    Args:
        hidden_size: H.
        num_outputs: C.
        pooling: a name of `LINEAR_POOLINGS`.
    """

    def __init__(self, hidden_size: int, num_outputs: int, pooling: str = "first_token") -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, num_outputs)
        self.pooling = pooling

    def init_weights(self) -> None:
        """Begin as the original: normal weights cut at two standard deviations, zero bias; loaded ones are spared."""
        init.trunc_normal_(self.dense.weight, std=0.02, a=-0.04, b=0.04)
        init.zeros_(self.dense.bias)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Scores ``[B, C]``, in float32 or better, of ``[B, L, H]`` with real tokens ``[B, L]``."""
        pooled = LINEAR_POOLINGS[self.pooling](hidden, attention_mask)
        # Means are in float32, whatever the layer is in.
        return at_least_float32(self.dense(pooled.to(hidden.dtype)))


class LinearHead(EncoderHead):
    """Mixin of heads that are one linear layer over the encoder's last states.

    The config's ``linear_pooling`` ("first_token") says of what: the first real token, which is [CLS], or "mean" or
    "max" over the real tokens. A causal encoder knows nothing at its first token.
    """

    fields: ClassVar[dict[str, Any]] = {"linear_pooling": "first_token"}
    # A PooledLinear; PEFT puts another module over it.
    classifier: Any

    def num_outputs(self, config: PreTrainedConfig) -> int:
        """Scores of a row."""
        raise NotImplementedError

    def build_classifier(self, config: PreTrainedConfig) -> PooledLinear:
        """The layer.

        Raises:
            ValueError: if the config names another pooling.
        """
        pooling: Any = config.linear_pooling
        if pooling not in LINEAR_POOLINGS:
            raise ValueError(f"linear_pooling must be one of {', '.join(LINEAR_POOLINGS)}, got {pooling!r}")
        return PooledLinear(config.get_text_config().hidden_size, self.num_outputs(config), pooling)

    def scores_of(self, hidden: Tensor, attention_mask: Tensor | None, arguments: Mapping[str, Any]) -> Tensor:
        """Scores ``[B, C]`` of the encoder's states ``[B, L, H]``.

        Args:
            hidden: the states.
            attention_mask: ``[B, L]``, or with the columns of a cache in front.
            arguments: those of the encoder, which may hold the cache.
        """
        scores: Tensor = self.classifier(hidden, self.own_columns(attention_mask, hidden.shape[1], arguments))
        return scores
