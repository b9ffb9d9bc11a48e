"""Tiny RoFormer models with weights large enough that every parameter moves the outputs."""

from typing import Any

import torch
from torch import Tensor

from hf_ext.models.roformer import RoFormerConfig

TINY: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
V2: dict[str, Any] = {"norm_type": "rms_norm", "use_bias": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "v1": {},
    "factorized": {"embedding_size": 16, "pooler_activation": "tanh"},
    "v2": V2,
    "causal": {"attention_mode": "causal"},
    "unilm": {"attention_mode": "unilm", "pooler_activation": "linear"},
    "rotated values": {"rotary_value": True},
}


def tiny_config(**fields: Any) -> RoFormerConfig:
    return RoFormerConfig(**(TINY | fields))


def tiny(model_class: Any, back_end: str = "sdpa", dtype: torch.dtype = torch.float64, **fields: Any) -> Any:
    """A model in eval mode, the same weights for the same settings, none of them at a default such as 0 or 1."""
    torch.manual_seed(0)
    model = model_class(tiny_config(**fields))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn_like(parameter)
    model.set_attn_implementation(back_end)
    return model.to(dtype).eval()


def tokens(lengths: list[int], side: str = "right", seed: int = 0) -> dict[str, Tensor]:
    """Random rows of the given lengths, padded to the longest; the second half of each is of type 1."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    out = {name: torch.zeros(len(lengths), longest, dtype=torch.long) for name in ("input_ids", "token_type_ids")}
    mask = torch.zeros(len(lengths), longest, dtype=torch.long)
    for row, length in enumerate(lengths):
        cut = slice(0, length) if side == "right" else slice(longest - length, longest)
        out["input_ids"][row, cut] = torch.randint(1, TINY["vocab_size"], (length,), generator=generator)
        out["token_type_ids"][row, cut] = (torch.arange(length) >= (length + 1) // 2).long()
        mask[row, cut] = 1
    return out | {"attention_mask": mask}


def packed(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The real tokens of a batch as one row; its positions say where a text begins."""
    real = batch["attention_mask"].bool()
    row = {name: value[real][None] for name, value in batch.items() if name != "attention_mask"}
    return row | {"position_ids": torch.cat([torch.arange(int(n)) for n in real.sum(-1)])[None]}
