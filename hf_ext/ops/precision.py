"""Numbers in enough digits for sums, exponentials and losses, and in few where a processor is faster with few."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or as it is where it is float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def has_fast_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Whether a device multiplies matrices of bfloat16 by instructions of its own.

    Processors do so that have AMX or AVX-512 BF16; others gain nothing by it.
    """
    kind = torch.device(device).type
    if kind == "cpu":
        # An older PyTorch does not say.
        known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    return kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def inference_dtype(name: str = "auto", device: torch.device | str | int | None = None) -> torch.dtype:
    """The type of number to run a trained model in.

    Args:
        name: "float32", "bfloat16" or "float16"; or "auto": bfloat16 where `has_fast_bfloat16`, and else float32.
        device: what it runs on; None: an accelerator if there is one, as a pipeline takes it.

    Raises:
        ValueError: if the name is another.
    """
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name in names:
        return names[name]
    if name != "auto":
        raise ValueError(f"dtype must be auto, {', '.join(names)}, got {name!r}")
    if device is None:
        device = torch.accelerator.current_accelerator() or "cpu"
    elif isinstance(device, int):
        # As pipelines have it.
        device = "cpu" if device < 0 else "cuda"
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
