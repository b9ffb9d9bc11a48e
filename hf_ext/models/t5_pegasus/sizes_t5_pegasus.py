"""T5-PEGASUS models by the name of their size, to train from scratch."""

from typing import Any

from hf_ext.models.t5_pegasus.configuration_t5_pegasus import T5PegasusConfig

# The last two are the released models. The first two are small enough to train from scratch on a CPU.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"d_model": 128, "d_ff": 256, "num_layers": 2, "num_heads": 4},
    "small": {"d_model": 256, "d_ff": 512, "num_layers": 3, "num_heads": 4},
    "medium": {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_heads": 6},
    "base": {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12},
}


def config_of_size(size: str, **fields: Any) -> T5PegasusConfig:
    """A config of a named size.

    Args:
        size: ``"tiny"``, ``"small"``, ``"medium"`` or ``"base"``.
        **fields: of :class:`T5PegasusConfig`, over those of the size.

    Raises:
        ValueError: if the name is unknown.
    """
    if size not in SIZES:
        raise ValueError(f"config must be a folder or one of the sizes {', '.join(SIZES)}, got {size!r}")
    return T5PegasusConfig(**{**SIZES[size], **fields})
