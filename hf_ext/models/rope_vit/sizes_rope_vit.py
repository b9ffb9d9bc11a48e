"""Vision transformers by the name of their size, to train from scratch."""

from typing import Any

from hf_ext.models.rope_vit.configuration_rope_vit import RoPEViTConfig

# The last three are rope-vit's; the first is small enough to train from scratch on a CPU. A factor of 1e-4 would keep
# the few blocks of it silent for longer than it trains.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "intermediate_size": 384,
        "layer_scale_init_value": 1.0,
        "image_size": 64,
        "patch_size": 8,
    },
    "small": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}


def rope_vit_config(size: str, **fields: Any) -> RoPEViTConfig:
    """A config of a named size.

    Args:
        size: ``"tiny"``, ``"small"``, ``"base"`` or ``"large"``.
        **fields: of `RoPEViTConfig`, over those of the size.

    Raises:
        ValueError: if the name is unknown.
    """
    if size not in SIZES:
        raise ValueError(f"config must be a folder or one of the sizes {', '.join(SIZES)}, got {size!r}")
    return RoPEViTConfig(**{**SIZES[size], **fields})
