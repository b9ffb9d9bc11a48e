"""How long a layer takes, with random weights."""

import copy
import time
from typing import Any

import torch
from transformers import AutoModel, AutoModelForTextEncoding

_LAYERS = 2


def layer_seconds(config: Any, length: int, device: str = "cpu", rounds: int = 3) -> float:
    """Time the forward pass of a layer over one text: half of what a model of two takes, its embeddings included.

    Args:
        config: of the model; positions are made to reach.
        length: tokens of the text, or patches of the image and the [CLS] before them.
        device: to run on.
        rounds: how often; the least time counts.

    Returns:
        Seconds on the wall.

    Raises:
        ValueError: if the model cannot have so long a text.
    """
    fields: dict[str, Any] = {"num_hidden_layers": _LAYERS}
    if hasattr(config, "d_kv"):
        fields = {"num_layers": _LAYERS, "num_decoder_layers": _LAYERS}
    if getattr(config, "num_latent_layers", None):
        fields["num_latent_layers"] = 1
    settings = copy.deepcopy(config).to_dict() | fields
    longest = getattr(config, "longest_input", None)
    if longest is not None and length > longest:
        if hasattr(config, "mixer") or hasattr(config, "half_length"):
            raise ValueError(f"length must be at most the {longest} tokens that the model takes, got {length}")
        settings["max_position_embeddings"] = length
    own = type(config).from_dict(settings)
    model = (AutoModelForTextEncoding if hasattr(config, "d_kv") else AutoModel).from_config(own).to(device).eval()
    if hasattr(config, "patch_size"):
        size = (1, config.num_channels, config.patch_size, config.patch_size * max(length - 1, 1))
        inputs = {"pixel_values": torch.zeros(size, device=device)}
    else:
        inputs = {"input_ids": torch.randint(own.vocab_size, (1, length), device=device)}
    least = float("inf")
    with torch.no_grad():
        for _ in range(rounds + 1):
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            begin = time.perf_counter()
            model(**inputs)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            least = min(least, time.perf_counter() - begin)
    return least / _LAYERS
