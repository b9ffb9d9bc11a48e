"""ReRoPE and Leaky ReRoPE: rotation by a distance that stops growing, or grows slowly (kexue.fm/archives/9708, 9731).

A key at distance ``d = i - j`` is turned by d where ``|d| < window``, else by ``sign(d) * window`` (ReRoPE), or by
``sign(d) * (window + (|d| - window) / step)`` (Leaky ReRoPE): beyond the window no distance is one that training has
not seen. The articles' code is for causal models; keys to the right of a query mirror those to its left.

Shapes: B batch, N heads, Q queries, S keys, D head size.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hf_ext.ops.rotary import apply_rotary, rotary_cos_sin

Rotation = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ScoreMap:
    """A way of scoring, and the pairs of query and key that it is for.

    Attributes:
        query: rotation of the queries, cosines and sines ``[B or 1, Q, D/2]``.
        key: rotation of the keys ``[B or 1, S, D/2]``; None: they stay as they are.
        pairs: ``[B or 1, 1, Q, S]`` bool; None: all.
    """

    query: Rotation
    key: Rotation | None
    pairs: Tensor | None = None


@dataclass(frozen=True)
class StepMap:
    """One query and the keys before it: near keys are turned, and for the far ones, at one distance, the query is.

    Attributes:
        near: rotation of the last keys ``[B or 1, K, D/2]``.
        far: rotation of the query ``[1, 1, D/2]`` for all other keys; None: there are none.
    """

    near: Rotation
    far: Rotation | None


def rerope_maps(
    query_places: Tensor,
    key_places: Tensor,
    dim: int,
    window: float,
    step: float = math.inf,
    theta: float = 10000.0,
    causal: bool = False,
) -> list[ScoreMap]:
    """Two maps, or three where keys lie on both sides: plain rotation, and the far keys before and after a query.

    Of far pairs the query is turned to ``window + (i - window) / step`` and the key to ``j / step``, which gives each
    pair its distance. The maps of a text serve all layers.

    Args:
        query_places: ``[B or 1, Q]``.
        key_places: ``[B or 1, S]``.
        dim: head size D.
        window: distances below are as they are.
        step: how many tokens count as one beyond; infinite under ReRoPE.
        theta: base of the frequencies.
        causal: leave out the map of keys after a query, whose scores then mean nothing.
    """
    i, j = (places.to(_angle_dtype(places)) for places in (query_places, key_places))
    rate = 1 / step

    def rotation(places: Tensor) -> Rotation:
        return rotary_cos_sin(places, dim, theta)

    # Under ReRoPE the far keys are as they are.
    far_key = rotation(j * rate) if rate else None
    maps = [ScoreMap(rotation(i), rotation(j))]
    # Comparisons, rather than distances, take a byte a pair.
    before = ((i - window)[:, :, None] >= j[:, None, :])[:, None]
    maps.append(ScoreMap(rotation((i - window) * rate + window), far_key, before))
    if not causal:
        after = ((i + window)[:, :, None] <= j[:, None, :])[:, None]
        maps.append(ScoreMap(rotation((i + window) * rate - window), far_key, after))
    return maps


def rerope_scores(query: Tensor, key: Tensor, maps: list[ScoreMap]) -> Tensor:
    """Scores of all queries with all keys, merged of several maps.

    Args:
        query: ``[B, N, Q, D]``, not rotated.
        key: ``[B, N, S, D]``, not rotated.
        maps: of :func:`rerope_maps`; of two that are for a pair, the last one counts.

    Returns:
        ``[B, N, Q, S]``, without a scale.
    """
    scores = None
    for one in maps:
        turned = _turn(key, one.key) if one.key is not None else key
        found = _turn(query, one.query) @ turned.mT
        scores = found if scores is None or one.pairs is None else torch.where(one.pairs, found, scores)
    assert scores is not None
    return scores


def rerope_step(
    keys: int,
    dim: int,
    window: int,
    step: float = math.inf,
    theta: float = 10000.0,
    device: torch.device | str | None = None,
) -> StepMap:
    """The one map of the last of ``keys`` tokens, which follow each other.

    Args:
        keys: number of keys S, the query's own among them.
        dim: head size D.
        window: distances below are as they are.
        step: how many tokens count as one beyond; infinite under ReRoPE.
        theta: base of the frequencies.
        device: where the rotations lie.
    """
    far = max(keys - window, 0) if math.isinf(step) else 0
    distance = torch.arange(keys - far - 1, -1, -1, device=device)
    distance = distance.to(_angle_dtype(distance))[None]
    beyond = (distance - window).clamp(min=0) / step
    # A score needs q turned by i and k by j, or k alone by j - i.
    near = rotary_cos_sin(-(distance.clamp(max=window) + beyond), dim, theta)
    return StepMap(near, rotary_cos_sin(torch.full((1, 1), window, device=device), dim, theta) if far else None)


def rerope_step_scores(query: Tensor, key: Tensor, step: StepMap) -> Tensor:
    """Scores of the last token: the last row of :func:`rerope_scores`.

    Args:
        query: ``[B, N, 1, D]``, not rotated.
        key: ``[B, N, S, D]``, not rotated, as a cache keeps them.
        step: of :func:`rerope_step` for S keys.

    Returns:
        ``[B, N, 1, S]``, without a scale.
    """
    far = key.shape[2] - step.near[0].shape[1]
    near = query @ _turn(key[:, :, far:], step.near).mT
    if step.far is None:
        return near
    return torch.cat((_turn(query, step.far) @ key[:, :, :far].mT, near), dim=-1)


def _turn(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate ``[B, N, L, D]``."""
    return apply_rotary(x.transpose(1, 2), *rotation).transpose(1, 2)


def _angle_dtype(x: Tensor) -> torch.dtype:
    return torch.float32 if x.device.type == "mps" else torch.float64
