"""Which tokens of a batch are real, for what reads the states of a model from outside."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def token_masks(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """The real tokens of a model's inputs.

    Args:
        inputs: of a model, ``attention_mask`` ``[B, L]`` and ``decoder_attention_mask`` ``[B, T]`` among them; of a
            decoder that is given its answers as ``labels`` ``[B, T]`` alone, those that are not -100.

    Returns:
        bool ``[B, L]`` of ``"encoder"`` and ``[B, T]`` of ``"decoder"``, those that there are.
    """
    found = {}
    for side, name in (("encoder", "attention_mask"), ("decoder", "decoder_attention_mask")):
        mask = inputs.get(name)
        if isinstance(mask, Tensor) and mask.dim() == 2:
            found[side] = mask != 0
    labels = inputs.get("labels")
    if isinstance(labels, Tensor) and labels.dim() == 2 and "decoder" not in found:
        ids = inputs.get("input_ids")
        if ids is not None and labels.shape != ids.shape:
            found["decoder"] = labels != -100
    return found


def mask_of(name: str, shape: tuple[int, ...], masks: Mapping[str, Tensor]) -> Tensor | None:
    """The mask of what a module gives.

    Args:
        name: of the module; what is in a decoder has the decoder's tokens.
        shape: ``(B, L)`` of what it gives.
        masks: as of `token_masks`.

    Returns:
        bool ``[B, L]``; None if none has this shape.
    """
    sides = ("decoder", "encoder") if "decoder" in name.split(".") else ("encoder", "decoder")
    return next((masks[side] for side in sides if side in masks and masks[side].shape == shape), None)
