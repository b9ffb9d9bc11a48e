"""RoFormers by the name of their size, to train from scratch."""

import os
from typing import Any

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig

# The last two have widths of released models. The first two are small enough to train from scratch on a CPU, where
# dropping attention weights alone would make attention several times slower.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "attention_probs_dropout_prob": 0.0,
    },
    "small": {
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.0,
    },
    "medium": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 1536},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
}


def config_of_size(size: str, **fields: Any) -> RoFormerConfig:
    """A config of a named size that runs unpadded.

    Args:
        size: ``"tiny"``, ``"small"``, ``"medium"`` or ``"base"``.
        **fields: of :class:`RoFormerConfig`, over those of the size.

    Raises:
        ValueError: if the name is unknown, or the built-in RoFormer is kept, which would ignore what these configs say.
    """
    if os.environ.get("HF_EXT_KEEP_ROFORMER") == "1":
        raise ValueError(f"size {size!r} needs hf_ext's RoFormer, but HF_EXT_KEEP_ROFORMER=1 keeps the built-in one")
    if size not in SIZES:
        raise ValueError(f"config must be a folder or one of the sizes {', '.join(SIZES)}, got {size!r}")
    return RoFormerConfig(**{"unpad": True, **SIZES[size], **fields})
