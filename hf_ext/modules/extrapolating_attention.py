"""Attention over texts longer than in training, as a config says now: windows, log n, KeyNorm, ReRoPE, biases.

Shapes: B batch, L tokens at hand, S keys, N heads, D head size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from hf_ext.modules.attention import attend, attend_by_scores
from hf_ext.modules.transformer_block import SelfAttention
from hf_ext.ops.distance_bias import alibi_bias, alibi_slopes, kerple_bias, sandwich_bias, xpos_decay
from hf_ext.ops.rerope import ScoreMap, StepMap, rerope_scores, rerope_step_scores
from hf_ext.ops.rotary import apply_rotary
from hf_ext.ops.window_attention import naive_window_attention, window_attention
from hf_ext.transformers_private import attention_implementation


@dataclass(frozen=True)
class Sight:
    """What the layers of a forward pass are told of what queries see.

    Attributes:
        causal: whether it is nothing that comes after them.
        log_n: factor of each query's scores ``[B or 1, L]``; None: there is none.
        groups: ``[B or 1, S]``, of integers that tokens share which see each other; None: all do. For windows.
        distances: of each sequence, query's place less key's, ``[B or 1, L, S]``; for biases and decays.
        maps: of each sequence, how ReRoPE scores it.
    """

    causal: bool
    log_n: Tensor | None = None
    groups: Tensor | None = None
    distances: tuple[Tensor, ...] = ()
    maps: tuple[list[ScoreMap] | StepMap, ...] = ()


class DistanceBias(nn.Module):
    """The bias of a layer that ``config.position_bias`` names; that of ALiBi has nothing to learn.

    KERPLE's power begins as ALiBi, its logarithm with ``-ln(1 + distance)``, Sandwich with the factor of the scores.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.kind, self.size, self.heads = config.position_bias, config.head_size, config.num_attention_heads
        if self.kind != "alibi":
            self.scale = nn.Parameter(torch.empty(self.heads))
        if self.kind.startswith("kerple"):
            self.rate = nn.Parameter(torch.empty(self.heads))
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Begin as said above."""
        # Parameters are what softplus makes positive; of the power's rate, a sigmoid keeps it below 2.
        start = {"kerple_power": alibi_slopes(self.heads), "sandwich": [self.size**-0.5] * self.heads}
        if self.kind != "alibi":
            wanted = torch.tensor(start.get(self.kind, [1.0] * self.heads), dtype=torch.float64)
            init.copy_(self.scale, wanted.expm1().log())
        if self.kind.startswith("kerple"):
            init.constant_(self.rate, 0.0 if self.kind == "kerple_power" else 0.5413248546129181)

    def forward(self, distance: Tensor) -> Tensor:
        """The bias ``[B or 1, N, L, S]`` of distances ``[B or 1, L, S]``, in float32 or better."""
        if self.kind == "alibi":
            return alibi_bias(distance, torch.tensor(alibi_slopes(self.heads), device=distance.device))
        scale = F.softplus(self.scale.to(torch.promote_types(self.scale.dtype, torch.float32)))
        if self.kind == "sandwich":
            return sandwich_bias(distance, scale, self.size)
        rate = self.rate.type_as(scale)
        rate = 2 * rate.sigmoid() if self.kind == "kerple_power" else F.softplus(rate)
        return kerple_bias(distance, scale, rate, self.kind.removeprefix("kerple_"))


def turns(config: Any, layer: int) -> bool:
    """Whether a layer's queries and keys are rotated before they meet, and keys so kept in a cache."""
    if not config.knows_places(layer):
        return False
    return config.position_bias is None and not (rerope_in(config) and config.sees_all(layer))


def rerope_in(config: Any) -> bool:
    """Whether ReRoPE or its leaky form is chosen."""
    return (config.rope_parameters or {}).get("rope_type") in ("rerope", "leaky_rerope")


def unit_keys(key: Tensor) -> Tensor:
    """Keys ``[..., D]`` of length one, divided in float32 or better."""
    return F.normalize(key.to(torch.promote_types(key.dtype, torch.float32)), dim=-1).type_as(key)


def attend_in_sight(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Any,
    scaling: float,
    dropout: float = 0.0,
    sight: Sight | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Run :func:`hf_ext.modules.attention.attend`, or what a config of `ExtrapolationConfig` wants in its place.

    Args:
        module: the attention layer, with ``config``, ``layer_idx`` and ``is_causal``; its ``distance_bias`` is the
            bias where there is one.
        query: ``[B, N, L, D]``; rotated where the layer :func:`turns`.
        key: ``[B, N, S, D]``, the same.
        value: ``[B, N, S, D]``.
        mask: for layers that see everything, in the back end's form; of a packed row a list.
        scaling: factor of the scores.
        dropout: probability of dropping a weight.
        sight: what the queries see; None: there is nothing to do but attend.
        **kwargs: of ``attend``.

    Returns:
        Output ``[B, L, N, D]``, and the weights where the back end gives them.
    """
    config = module.config
    if sight is None:
        return attend(module, query, key, value, mask, scaling, dropout, **kwargs)
    if not config.sees_all(module.layer_idx):
        what = query, key, value, config.attention_window, sight.causal, sight.groups, scaling, dropout
        if attention_implementation(config) == "eager":
            out, weights = naive_window_attention(*what)
            return out.transpose(1, 2), weights
        return window_attention(*what).transpose(1, 2), None
    if sight.log_n is not None:
        query = (query * sight.log_n[:, None, :, None]).type_as(query)
    if config.scores_by_distance and config.knows_places(module.layer_idx):
        kwargs["function"] = _by_distance(sight)
    return attend(module, query, key, value, mask, scaling, dropout, **kwargs)


def _by_distance(sight: Sight) -> Any:
    """Eager attention whose scores are changed by the distance, called for one sequence after the other."""
    maps: Iterator[Any] = iter(sight.maps)
    distances = iter(sight.distances)

    def function(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float, dropout: float, **_: Any
    ) -> tuple[Tensor, Tensor]:
        if sight.maps:
            how = next(maps)
            scores = (rerope_step_scores if isinstance(how, StepMap) else rerope_scores)(query, key, how) * scaling
            return attend_by_scores(module, scores, value, mask, dropout)
        scores = query @ key.mT * scaling
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        distance = next(distances)
        kind = module.config.position_bias
        if kind is not None:
            if getattr(module, "distance_bias", None) is None or module.distance_bias.kind != kind:
                raise ValueError(f"position_bias must be set when the model is made, got {kind!r} later")
            scores = scores + module.distance_bias(distance)
        else:
            decay = module.config.rope_parameters["decay"]
            scores = scores * xpos_decay(distance.type_as(scores), decay)[:, None]
        return attend_by_scores(module, scores, value, mask, dropout)

    return function


class ExtrapolatingSelfAttention(SelfAttention):
    """Multi-head attention with rotated queries and keys, or what the config has in place of that."""

    def __init__(self, config: Any, layer_idx: int):
        super().__init__(config, layer_idx)
        if config.position_bias is not None and config.knows_places(layer_idx):
            self.distance_bias = DistanceBias(config)

    def place(
        self, query: Tensor, key: Tensor, value: Tensor, positions: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotate queries and keys where they are to be; ``positions`` are cosines, sines and maybe position ids."""
        rotation: Any = positions[:2]
        if turns(self.config, self.layer_idx):
            query, key = apply_rotary(query, *rotation), apply_rotary(key, *rotation)
        if self.config.rotary_value:
            value = apply_rotary(value, *rotation)
        return query, unit_keys(key) if self.config.key_norm else key, value

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with ``[B, N, L, D]``; returns ``[B, L, N, D]`` and the weights where there are any."""
        scaling = 1.0 if self.config.key_norm else self.scaling
        dropout = self.dropout.p if self.training else 0.0
        return attend_in_sight(self, query, key, value, mask, scaling, dropout, **kwargs)
