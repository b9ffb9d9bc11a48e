"""The base model of encoders that can be told how to read long texts: what it tells its layers of what they see.

Shapes: B batch, L tokens at hand, S keys, cached ones among them.
"""

import math
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from hf_ext.modules.encoder_model import EncoderModel
from hf_ext.modules.extrapolating_attention import Sight, rerope_in
from hf_ext.modules.extrapolation_config import ExtrapolationConfig
from hf_ext.modules.extrapolation_rules import Situation, check_combinations, find_conflict
from hf_ext.ops.gated_attention import log_n_factor, visible_keys
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.key_counts import key_counts
from hf_ext.ops.packing import Packing
from hf_ext.ops.rerope import ScoreMap, StepMap, rerope_maps, rerope_step
from hf_ext.transformers_private import attention_implementation


def chosen_implementation(
    config: ExtrapolationConfig, requested: str | None, preferred: str | None = None
) -> str | None:
    """The back end that is asked for, or where none is the first that can do what a config says.

    Args:
        config: settings.
        requested: name of a back end; None: whichever can.
        preferred: of a family, the one before all others; None: the library's choice.

    Returns:
        The name, or None for the library's choice.

    Raises:
        ValueError: if the settings do not go with each other or with what is requested.
    """
    check_combinations(config, Situation(requested))
    if requested is not None:
        return requested
    for name in (preferred, None):
        if find_conflict(config, Situation(name or "sdpa")) is None:
            return name
    return "eager"


class ExtrapolatingModel(EncoderModel):
    """Mixin of a family's model without a head, over `EncoderModel`, whose config is an `ExtrapolationConfig`."""

    config: ExtrapolationConfig

    def place_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """The positions ``[B or 1, L]`` themselves, where scores depend on distances otherwise than by rotation."""
        return (position_ids,) if self.config.scores_by_distance else ()

    def may_unpad(self, attention_mask: Tensor) -> bool:
        """Padding between tokens keeps them apart in a window, and only rows without it may lose theirs."""
        starts = (attention_mask[:, 1:] != 0) & (attention_mask[:, :-1] == 0)
        runs = starts.sum(-1) + (attention_mask[:, 0] != 0)
        return self.config.attention_window is None or bool((runs <= 1).all())

    def visibility(self, *args: Any) -> tuple[Any, dict[str, Any]]:
        """As in :class:`EncoderModel`; layers with a window go without a mask."""
        if not any(self.config.sees_all(layer) for layer in range(self.config.num_hidden_layers)):
            return None, {}
        return super().visibility(*args)

    def layer_arguments(
        self,
        positions: tuple[Tensor, ...],
        attention_mask: Tensor | None,
        documents: Tensor | None,
        packing: Packing | None,
        cache: Cache | None,
    ) -> dict[str, Any]:
        """What queries see, for :func:`hf_ext.modules.extrapolating_attention.attend_in_sight`, if it matters."""
        config = self.config
        if not config.extrapolates and not config.scores_by_distance:
            return {}
        whole_mask = attention_mask is not None and attention_mask.dim() == 4
        if not in_graph():
            config.validate_extrapolation()
            fixed = bool(getattr(cache, "is_compileable", False))
            check_combinations(config, Situation(attention_implementation(config), fixed, whole_mask))
        length, device = positions[0].shape[1], positions[0].device
        cached: Any = cache.get_seq_length() if cache is not None else 0
        causal = config.resolved_attention_mode == "causal"
        groups = None
        if packing is not None:
            sizes = torch.tensor(packing.lengths, device=device)
            groups = torch.arange(len(sizes), device=device).repeat_interleave(sizes, output_size=length)[None]
        elif documents is not None:
            groups = documents
        elif attention_mask is not None and not whole_mask:
            groups = torch.where(attention_mask != 0, 0, -1)
        factor = None
        if config.log_n is not None:
            if whole_mask:
                counts = visible_keys(length, attention_mask)
            elif groups is not None:
                counts = key_counts(groups, length, None, 0 if causal else None)
            elif causal:
                counts = (torch.arange(length, device=device) + cached + 1)[None]
            else:
                counts = torch.full((1, 1), length, device=device)
            trained = config.max_position_embeddings
            factor = log_n_factor(counts, trained if config.log_n == "after_training" else 1, trained)
            factor = factor.to(positions[0].dtype)
        windows = groups if config.attention_window is not None else None
        maps, distances = self._places(positions, attention_mask, packing, cache)
        return {"sight": Sight(causal, factor, windows, distances, maps)}

    def _places(
        self, positions: tuple[Tensor, ...], attention_mask: Tensor | None, packing: Packing | None, cache: Cache | None
    ) -> tuple[tuple[list[ScoreMap] | StepMap, ...], tuple[Tensor, ...]]:
        """ReRoPE's maps of each sequence, or the distances of its tokens where something else asks for them."""
        config: Any = self.config
        if not config.scores_by_distance:
            return (), ()
        query_places = positions[-1]
        length, device = query_places.shape[1], query_places.device
        key_places = query_places
        if cache is not None:
            if not in_graph():
                _check_places(query_places, attention_mask)
            key_places = torch.arange(cache.get_seq_length() + length, device=device)[None]
            query_places = key_places[:, -length:]
        pieces = [(query_places, key_places)]
        if packing is not None:
            pieces = list(zip(query_places.split(packing.lengths, 1), key_places.split(packing.lengths, 1)))
        if not rerope_in(config):
            return (), tuple(queries[:, :, None] - keys[:, None] for queries, keys in pieces)
        rope: Any = config.rope_parameters
        how = rope["window"], rope.get("step", math.inf), rope["rope_theta"]
        if cache is not None and length == 1:
            return (rerope_step(key_places.shape[1], config.head_dim, *how, device=device),), ()
        causal = config.resolved_attention_mode == "causal"
        return tuple(rerope_maps(*piece, config.head_dim, *how, causal=causal) for piece in pieces), ()


def _check_places(position_ids: Tensor, attention_mask: Tensor | None) -> None:
    """Refuse positions ``[B or 1, L]`` with gaps, as those of cached keys are not kept but counted."""
    steps = position_ids.diff(dim=-1) == 1
    if attention_mask is not None and attention_mask.dim() == 2:
        real = attention_mask[:, -position_ids.shape[1] :] != 0
        steps = steps | ~(real[:, 1:] & real[:, :-1])
    if not bool(steps.all()):
        raise ValueError(
            "position_ids must grow by one a token with a cache, where scores depend on distances otherwise than by "
            f"rotation, got {position_ids[~steps.all(-1)][:1].tolist()}"
        )
