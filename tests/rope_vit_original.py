"""rope-vit's vision transformer over its own parameters, written from its formulas in the order in which it computes.

Another transcription than the package's: complex numbers, [CLS] apart, columns and rows from one running number.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


def original_state(
    kind: str = "axial",
    use_ape: bool = False,
    width: int = 128,
    layers: int = 2,
    grid: int = 3,
    patch: int = 4,
    classes: int = 5,
) -> dict[str, Tensor]:
    """Random parameters under the names of the published files, none of them at a default such as 0 or 1."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int, scale: float = 0.1, about: float = 0.0) -> Tensor:
        return about + scale * torch.randn(*shape, generator=generator)

    state = {
        "cls_token": draw(1, 1, width),
        "patch_embed.proj.weight": draw(width, 3, patch, patch),
        "patch_embed.proj.bias": draw(width),
    }
    if use_ape:
        state["pos_embed"] = draw(1, grid * grid, width)
    if kind == "mixed":
        state["freqs"] = draw(2, layers, width // 2, scale=0.5)
        places = torch.arange(grid * grid)
        state |= {"freqs_t_x": (places % grid).float(), "freqs_t_y": (places // grid).float()}
    for layer in range(layers):
        start = f"blocks.{layer}."
        state |= {
            f"{start}gamma_1": draw(width, about=0.5),
            f"{start}gamma_2": draw(width, about=0.5),
            f"{start}attn.qkv.weight": draw(3 * width, width, scale=0.2),
            f"{start}attn.qkv.bias": draw(3 * width),
            f"{start}attn.proj.weight": draw(width, width),
            f"{start}attn.proj.bias": draw(width),
            f"{start}mlp.fc1.weight": draw(4 * width, width),
            f"{start}mlp.fc1.bias": draw(4 * width),
            f"{start}mlp.fc2.weight": draw(width, 4 * width),
            f"{start}mlp.fc2.bias": draw(width),
        }
        for norm in ("norm1", "norm2"):
            state |= {f"{start}{norm}.weight": draw(width, about=1.0), f"{start}{norm}.bias": draw(width)}
    state |= {"norm.weight": draw(width, about=1.0), "norm.bias": draw(width)}
    return state | {"head.weight": draw(classes, width), "head.bias": draw(classes)}


def original_logits(state: Mapping[str, Tensor], images: Tensor, heads: int, kind: str = "axial") -> Tensor:
    """Logits ``[B, classes]`` of images ``[B, 3, height, width]``, in the type of both.

    Args:
        state: the parameters.
        images: of any size that patches fill.
        heads: number of heads.
        kind: ``"axial"``, ``"mixed"`` or ``"none"``.
    """
    patch = state["patch_embed.proj.weight"].shape[-1]
    down, across = (side // patch for side in images.shape[-2:])
    tokens = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=patch)
    tokens = tokens.reshape(*tokens.shape[:2], -1).mT
    if "pos_embed" in state:
        side = math.isqrt(state["pos_embed"].shape[1])
        table = state["pos_embed"].reshape(side, side, -1).movedim(-1, 0)[None]
        if (down, across) != (side, side):
            table = F.interpolate(table, (down, across), mode="bicubic", align_corners=False)
        tokens = tokens + table[0].reshape(table.shape[1], -1).T
    x = torch.cat((state["cls_token"].expand(len(images), 1, -1), tokens), dim=1)
    size = x.shape[-1] // heads
    number = torch.arange(down * across, dtype=x.dtype)
    column, row = number % across, (number / across).floor()
    layer = 0
    while (start := f"blocks.{layer}.") + "gamma_1" in state:
        own = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
        if kind == "mixed":
            to_column, to_row = state["freqs"][:, layer].reshape(2, heads, 1, size // 2)
            angles = column[:, None] * to_column + row[:, None] * to_row
        else:
            speeds = 100.0 ** (-torch.arange(0, size, 4, dtype=x.dtype) / size)
            angles = torch.cat((column[:, None] * speeds, row[:, None] * speeds), dim=-1)
        turn = torch.polar(torch.ones_like(angles), angles if kind != "none" else torch.zeros_like(angles))
        y = F.layer_norm(x, x.shape[-1:], own["norm1.weight"], own["norm1.bias"], eps=1e-6)
        qkv = y @ own["attn.qkv.weight"].T + own["attn.qkv.bias"]
        query, key, value = qkv.reshape(*qkv.shape[:2], 3, heads, size).permute(2, 0, 3, 1, 4)
        query, key = (torch.cat((z[:, :, :1], _turned(z[:, :, 1:], turn)), dim=2) for z in (query, key))
        weights = (query * size**-0.5 @ key.mT).softmax(-1)
        y = (weights @ value).transpose(1, 2).reshape(x.shape) @ own["attn.proj.weight"].T + own["attn.proj.bias"]
        x = x + own["gamma_1"] * y
        y = F.layer_norm(x, x.shape[-1:], own["norm2.weight"], own["norm2.bias"], eps=1e-6)
        y = F.gelu(y @ own["mlp.fc1.weight"].T + own["mlp.fc1.bias"])
        x = x + own["gamma_2"] * (y @ own["mlp.fc2.weight"].T + own["mlp.fc2.bias"])
        layer += 1
    x = F.layer_norm(x, x.shape[-1:], state["norm.weight"], state["norm.bias"], eps=1e-6)
    return x[:, 0] @ state["head.weight"].T + state["head.bias"]


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2)
