"""The tensors of the large model, of those of the small one by the rows of its layout."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from hf_ext.enlargement.growth import Space
from hf_ext.enlargement.layout import Layout

_LAYER = re.compile(r"(.*)\.(weight|bias)")
# Of a kernel, that noise is added to at a time.
_NUMBERS = 2**18


class Enlarger:
    """Makes tensors of the large model, in float64.

    Args:
        layout: of the small model.
        noise: deviation of what is added to kernels, as a part of their root mean square; it adds up to zero over the
            copies of each input.
        seed: to draw it by.
    """

    def __init__(self, layout: Layout, noise: float = 0.0, seed: int = 0):
        self.rows, self.spaces = layout.all_rows(), layout.spaces()
        self.noise = noise
        self.generator = torch.Generator().manual_seed(seed)

    def axes(self, name: str) -> list[str]:
        """What the axes of a parameter or a buffer are.

        Raises:
            ValueError: if no row says so.
        """
        layer = _LAYER.fullmatch(name)
        tried = (name,) if layer is None else (name, layer[1])
        for pattern, axes in self.rows:
            if any(fnmatchcase(one, pattern) for one in tried):
                of_bias = layer is not None and layer[2] == "bias"
                return [axis for axis in axes.split() if not (of_bias and axis.startswith("/"))]
        raise ValueError(f"model must have parameters that there is a rule for, got {name}, of which nothing is known")

    def enlarge(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor of this name in the large model."""
        if not tensor.is_floating_point():
            return tensor.clone()
        # What stays as it is must not be of both models.
        out = tensor.detach().to("cpu", torch.float64, copy=True)
        read: list[tuple[int, Space]] = []
        for axis, spec in enumerate(self.axes(name)[: tensor.dim()]):
            if spec == ".":
                continue
            reads = spec.startswith("/")
            spaces = [self.spaces[part] for part in spec.removeprefix("/").split("|")]
            # Parts grow apart; of what reads, there is one.
            parts = out.split([space.size for space in spaces], axis) if len(spaces) > 1 else (out,)
            grown = [
                space.spread(part * (1 / (space.scale * space.copies) if reads else space.scale), axis)
                for space, part in zip(spaces, parts)
            ]
            out = torch.cat(grown, axis) if len(grown) > 1 else grown[0]
            if reads and spaces[0].copies > 1:
                read.append((axis, spaces[0]))
        if self.noise:
            for axis, space in read:
                self._add_noise(out, axis, space)
        return out

    def _add_noise(self, kernel: Tensor, axis: int, space: Space) -> None:
        """Add noise to a kernel in place, which adds up to zero over the copies of each number that it reads."""
        # Taking away the mean makes it smaller.
        deviation = float(self.noise * kernel.norm() / kernel.numel() ** 0.5 * (1 - 1 / space.copies) ** -0.5)
        # Part by part, as new memory of the size of a kernel takes longer than what is done in it.
        across = 1 if axis == 0 else 0
        rows = max(1, _NUMBERS // max(1, kernel.numel() // kernel.shape[across]))
        for part in kernel.split(rows, across) if kernel.dim() > 1 else (kernel,):
            drawn = torch.randn(part.shape, generator=self.generator, dtype=torch.float32).to(kernel.dtype)
            part.add_(space.centre(drawn, axis), alpha=deviation)

    def all_tensors(self, tensors: Mapping[str, Tensor], untie: bool = False) -> dict[str, Tensor]:
        """Those of the large model by name; what is one tensor under two names is one again.

        Args:
            tensors: of the small model.
            untie: make two of one that is written under one name and read under another.
        """
        made: dict[tuple[Any, ...], Tensor] = {}
        out = {}
        axes = {name: self.axes(name) if tensor.is_floating_point() else [] for name, tensor in tensors.items()}
        # What is read has noise, which a tensor that is written too must not have.
        for name in sorted(tensors, key=lambda name: any(axis.startswith("/") for axis in axes[name])):
            tensor = tensors[name]
            key = (tensor.data_ptr(), tensor.dtype, *tensor.shape, *(axes[name] if untie else ()))
            if tensor.numel() == 0 or key not in made:
                made[key] = self.enlarge(name, tensor)
            out[name] = made[key]
        return out
