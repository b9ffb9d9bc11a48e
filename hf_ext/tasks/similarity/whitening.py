"""BERT-whitening: vectors of texts with mean 0 and covariance 1, in as many dimensions as wanted
(kexue.fm/archives/8069; arXiv 2103.15316).
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from hf_ext.atomic_file import atomic_write

FILE_NAME = "whitening.safetensors"


class Whitening(nn.Module):
    """Makes vectors of texts ones with mean 0 and covariance 1, in fewer dimensions if wanted.

    A vector x becomes ``(x - mean) @ kernel``; the buffers are part of a model's state dict and are not trained.

    Args:
        mean: ``[H]``.
        kernel: ``[H, K]``.
    """

    def __init__(self, mean: Tensor, kernel: Tensor) -> None:
        super().__init__()
        if mean.ndim != 1 or kernel.ndim != 2 or len(kernel) != len(mean):
            shapes = f"{tuple(mean.shape)} and {tuple(kernel.shape)}"
            raise ValueError(f"mean and kernel must have shapes [H] and [H, K], got {shapes}")
        self.mean: Tensor
        self.kernel: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("kernel", kernel)

    @classmethod
    def fit(cls, parts: Iterable[Any], size: int | None = None) -> "Whitening":
        """Fit to vectors that come in parts: what is kept is their number, sum and sum of products, in float64.

        Args:
            parts: arrays or tensors ``[n, H]``, one after the other, such as those of ``EmbeddingPipeline.stream``.
            size: number K of dimensions to keep, those of most variance; None: all in which the vectors vary.

        Returns:
            A module with float32 buffers, whose outputs for these vectors have mean 0 and as covariance (divided by
            N - 1) the identity. The sign of each column, which nothing says, makes its largest entry positive.

        Raises:
            ValueError: if there are fewer than two vectors, shapes differ, a number is not finite, or the vectors vary
                in fewer than ``size`` dimensions.
        """
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        count, resolution = 0, torch.finfo(torch.float64).eps
        shift = total = products = torch.zeros(0, dtype=torch.float64)
        for part in parts:
            rows = torch.as_tensor(part).detach().cpu()
            if rows.ndim != 2 or (count and rows.shape[1] != len(shift)):
                wanted = f"[n, {len(shift)}]" if count else "[n, H]"
                raise ValueError(f"parts must have shape {wanted}, got {list(rows.shape)}")
            if not len(rows):
                continue
            if not rows.isfinite().all():
                raise ValueError("parts must be finite numbers, got nan or inf")
            if rows.is_floating_point():
                resolution = max(resolution, torch.finfo(rows.dtype).eps)
            rows = rows.double()
            if not count:
                # Products of what is near the mean keep the digits that a subtraction at the end would lose.
                shift = rows.mean(0)
                total, products = torch.zeros_like(shift), shift.new_zeros(len(shift), len(shift))
            rows = rows - shift
            count, total, products = count + len(rows), total + rows.sum(0), products + rows.mT @ rows
        if count < 2:
            raise ValueError(f"parts must have at least two vectors, got {count}")
        offset = total / count
        covariance = (products - count * torch.outer(offset, offset)) / (count - 1)
        variances, directions = torch.linalg.eigh(covariance)
        # By descending variance. What varies less than numbers of this precision are rounded is noise.
        variances, directions = variances.flip(0), directions.flip(1)
        scale = variances[0].clamp_min(0) + (shift + offset).square().max()
        noise = len(shift) * torch.maximum(scale * resolution**2, variances[0] * torch.finfo(torch.float64).eps)
        rank = int((variances > noise).sum())
        if rank < (size or 1):
            raise ValueError(f"size must be at most the {rank} dimensions in which the vectors vary, got {size}")
        size = size or rank
        chosen = directions[:, :size]
        chosen = chosen * chosen.gather(0, chosen.abs().argmax(0, keepdim=True)).sign()
        return cls((shift + offset).float(), (chosen * variances[:size].rsqrt()).float())

    def forward(self, vectors: Tensor) -> Tensor:
        """Whiten ``[..., H]`` to ``[..., K]``, in float32 or better."""
        dtype = torch.promote_types(vectors.dtype, torch.float32)
        return (vectors.to(dtype) - self.mean.to(dtype)) @ self.kernel.to(dtype)

    def as_linear(self) -> nn.Linear:
        """The same as a layer with weight ``[K, H]`` and bias ``[K]``."""
        hidden_size, size = self.kernel.shape
        linear = nn.Linear(hidden_size, size, device=self.kernel.device, dtype=self.kernel.dtype)
        with torch.no_grad():
            linear.weight.copy_(self.kernel.T)
            linear.bias.copy_(-(self.mean.double() @ self.kernel.double()))
        return linear

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``whitening.safetensors`` into a folder, that of the model; made where it is missing."""
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        tensors = {name: buffer.detach().cpu().contiguous() for name, buffer in self.named_buffers()}
        with atomic_write(root / FILE_NAME, "wb") as file:
            file.write(save(tensors, metadata={"format": "pt"}))

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> "Whitening":
        """Read what :meth:`save_pretrained` has written into a folder.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if the file holds something else.
        """
        file = Path(folder) / FILE_NAME
        if not file.is_file():
            raise FileNotFoundError(f"{file} must exist: fit a Whitening and save it there")
        try:
            tensors = load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file} is not readable as safetensors: {error}") from error
        if tensors.keys() != {"mean", "kernel"}:
            raise ValueError(
                f"{file} must hold the tensors mean and kernel, got {', '.join(sorted(tensors)) or 'none'}"
            )
        return cls(tensors["mean"], tensors["kernel"])
