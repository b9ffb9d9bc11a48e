"""Whether the large model computes what the small one does: both run in float64 on random inputs.

Shapes: B rows, L tokens, H hidden of the small model, k copies.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hf_ext.enlargement.layout import Layout

TOLERANCE = 1e-10
"""Largest difference of numbers that count as the same, as a part of the largest of them where that is beyond 1."""

_ROWS, _LENGTH, _TARGETS = 4, 13, 5


def random_inputs(model: Any, layout: Layout, seed: int = 0) -> dict[str, Any]:
    """Inputs of a model: texts of several lengths, padded, or images.

    Args:
        model: of which class and config say what it takes.
        layout: of it.
        seed: to draw them by.
    """
    config, generator = model.config, torch.Generator().manual_seed(seed)
    takes = inspect.signature(model.forward).parameters
    if model.main_input_name == "pixel_values":
        shape = (_ROWS, config.num_channels, *config.image_shape)
        return {"pixel_values": torch.randn(shape, generator=generator, dtype=torch.float64)}
    limits = [getattr(config, name, None) for name in ("longest_input", "max_position_embeddings")]
    # RoBERTa counts positions from the one behind that of padding.
    length = max(1, min([_LENGTH, *(limit - 2 for limit in limits if limit)]))
    places = torch.arange(length)
    # As long as there is room, and less.
    lengths = (length - 3 * torch.arange(_ROWS)).clamp(min=1)
    inputs: dict[str, Any] = {
        "input_ids": torch.randint(config.vocab_size, (_ROWS, length), generator=generator),
        "attention_mask": (places < lengths[:, None]).long(),
    }
    if layout.takes_types and "token_type_ids" in takes and getattr(config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = (places >= (lengths[:, None] + 1) // 2).long()
    if "context_mask" in takes:
        inputs["context_mask"] = inputs["attention_mask"] * (places > 0)
    if type(model).__name__.endswith(("ForMultipleChoice", "ForLinearChoice")):
        inputs = {name: value.unflatten(0, (-1, 2)) for name, value in inputs.items()}
    if "decoder_input_ids" in takes and config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(config.vocab_size, (_ROWS, _TARGETS), generator=generator)
    if getattr(config, "add_cross_attention", False) and "encoder_hidden_states" in takes:
        shape = (_ROWS, _TARGETS, layout.hidden_size)
        inputs["encoder_hidden_states"] = torch.randn(shape, generator=generator, dtype=torch.float64)
    # Heads of ours give spans unless they are told to give scores.
    return inputs | ({"output_logits": True} if "output_logits" in takes else {})


class OutputComparison:
    """What a small model makes of random inputs, to compare large ones with.

    Args:
        small: a model in float64, in evaluation.
        layout: of it.
        seed: to draw inputs by.
    """

    def __init__(self, small: Any, layout: Layout, seed: int = 0) -> None:
        self.layout = layout
        self.inputs = random_inputs(small, layout, seed)
        self.outputs = _outputs(small, self.inputs)

    def differences(self, large: Any) -> tuple[dict[str, float], bool]:
        """How far the outputs of an enlarged model lie apart, and whether they are the same but for rounding.

        Args:
            large: the small model with enlarged weights, in float64, in evaluation.

        Returns:
            The largest absolute difference of each output, hidden states of all layers among them, padding left out;
            and whether all are within `TOLERANCE`.
        """
        inputs, layout = dict(self.inputs), self.layout
        spaces = layout.spaces()
        mask = inputs.get("attention_mask")
        real = None if mask is None else mask.flatten(0, -2) != 0
        if (states := inputs.get("encoder_hidden_states")) is not None:
            inputs["encoder_hidden_states"] = spaces["hidden"].spread(states, -1) * spaces["hidden"].scale
        outputs = _outputs(large, inputs)
        found: dict[str, float] = {}
        same = True
        for name, before in self.outputs.items():
            after = outputs[name]
            if after.shape != before.shape:
                space = spaces[layout.pooled_space if name == "pooler_output" else "hidden"]
                before = space.spread(before, -1) * space.scale
            elif "hidden" in name or name == "pooler_output":
                # Factorised embeddings are as wide as before.
                before = before * (spaces["embedded"].scale if layout.growth.widens else 1.0)
            if real is not None and before.shape[: real.dim()] == real.shape:
                before, after = before[real], after[real]
            # Scores of what cannot be are infinite in both.
            apart = (after - before).masked_fill(after == before, 0).abs()
            size = before[before.isfinite()].abs()
            largest = float(apart.max()) if apart.numel() else 0.0
            same &= largest <= TOLERANCE * max(1.0, float(size.max()) if size.numel() else 0.0)
            kind = "hidden states" if "hidden" in name else name.partition(" ")[0]
            found[kind] = max(found.get(kind, 0.0), largest)
        return found, same


@torch.no_grad()
def _outputs(model: Any, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    return _tensors(model(**inputs, output_hidden_states=True, return_dict=True))


def _tensors(output: Mapping[str, Any]) -> dict[str, Tensor]:
    """The numbers of an output by name, those of tuples too, but for caches, and choices that rounding may turn."""
    out: dict[str, Tensor] = {}
    for name, value in output.items():
        if name in ("spans", "predictions"):
            continue
        parts = {name: value} if isinstance(value, Tensor) else {}
        if isinstance(value, tuple):
            parts = {f"{name} {number}": part for number, part in enumerate(value) if isinstance(part, Tensor)}
        out |= {part: tensor for part, tensor in parts.items() if tensor.is_floating_point()}
    return out
