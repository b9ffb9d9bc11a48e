"""Tiny GAU-alpha models with weights large enough that every parameter moves the outputs."""

from typing import Any

import torch

from hf_ext.models.gau_alpha import GAUAlphaConfig

TINY: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "attention_key_size": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def tiny_config(**fields: Any) -> GAUAlphaConfig:
    return GAUAlphaConfig(**(TINY | fields))


def tiny(model_class: Any, back_end: str = "gated_attention", dtype: torch.dtype = torch.float64, **fields: Any) -> Any:
    """A model in eval mode, the same weights for the same settings, none of them at a default such as 0 or 1."""
    torch.manual_seed(0)
    model = model_class(tiny_config(**fields))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.5 * torch.randn_like(parameter)
    model.set_attn_implementation(back_end)
    return model.to(dtype).eval()
