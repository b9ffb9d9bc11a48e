"""Tiny RoFormer models of all kinds."""

from typing import Any

import torch
from models_tiny import FAMILIES, SIZES, V2, make, packed, tokens

from hf_ext.models.roformer import RoFormerConfig

__all__ = ["TINY", "V2", "VARIANTS", "packed", "tiny", "tiny_config", "tokens"]

TINY = SIZES
VARIANTS: dict[str, dict[str, Any]] = {name: fields for name, (fields, *_) in FAMILIES["roformer"].variants.items()}
VARIANTS["rotated values"] = {"rotary_value": True}


def tiny_config(**fields: Any) -> RoFormerConfig:
    return RoFormerConfig(**(TINY | fields))


def tiny(model_class: Any, back_end: str = "sdpa", dtype: torch.dtype = torch.float64, **fields: Any) -> Any:
    """A model in eval mode, the same weights for the same settings."""
    return make(model_class, tiny_config(**fields), back_end, dtype)
