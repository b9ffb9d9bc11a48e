"""Messages of a CRF in logarithmic depth: an associative scan over products of transition matrices.

The step from one token to the next is a matrix ``M_t = step * local_t``, and products of matrices can be taken in any
order. Rows are cut into blocks; the products within all blocks are made at once, those of ever more blocks form a tree,
and on the way down the tree each node passes on what comes from the left and what from the right. K times the work of
the sequential form in a fraction of its steps: for devices that wait for each other, and for few rows on a CPU.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.crf.scan import Chain, Messages

_BLOCK = 16


def block_messages(chain: Chain) -> Messages:
    """The messages as :func:`hf_ext.ops.crf.scan.scan_messages` gives them, of a chain of one side."""
    most, _, batch, tags = chain.local.shape
    local = _in_blocks(chain.local[:, 0])
    real = (torch.arange(1, local.shape[0] * local.shape[1] + 1, device=local.device)[:, None] < chain.lengths).view(
        local.shape[:3]
    )
    product, log = _block_products(local, real, chain.step)
    tree = [(product, log)]
    while len(tree[-1][0]) > 1:
        tree.append(_pairs(*tree[-1]))
    first = chain.local[0, 0] * chain.start
    end = chain.end.expand(batch, tags)
    root, scale = tree[-1]
    ends = (_move(first[None], root)[0] * end).sum(-1)
    total = ends.log() + scale[0] + chain.log_scale

    left, right = _unit(first)[None], _unit(end)[None]
    for product, _ in reversed(tree[:-1]):
        even, odd = product[0::2], product[1::2]
        left = torch.stack((left, _unit(_move(left, even))), 1).flatten(0, 1)
        right = torch.stack((_unit(_move(right, odd.mT)), right), 1).flatten(0, 1)
    forward, backward = _within_blocks(left, right, local, real, chain.step)
    after = torch.arange(most * batch, device=local.device).view(most, batch).clamp_max(len(backward) * batch - 1)
    return Messages(torch.cat((first[None], forward))[:most], backward.flatten(0, 1), after, total)


def _in_blocks(local: Tensor) -> Tensor:
    """The factors ``[N, B, K]`` of all steps but the first, ``[C, S, B, K]``; C is a power of two."""
    steps = len(local) - 1
    blocks = 1
    while blocks * _BLOCK < steps:
        blocks *= 2
    size = min(_BLOCK, max(steps, 1))
    return F.pad(local[1:], (0, 0, 0, 0, 0, blocks * size - steps), value=1.0).unflatten(0, (blocks, size))


def _block_products(local: Tensor, real: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Products ``[C, B, K, K]`` of the matrices of each block, and the logarithms ``[C, B]`` divided out."""
    blocks, _, batch, tags = local.shape
    product = torch.eye(tags, dtype=local.dtype, device=local.device).expand(blocks, batch, tags, tags)
    log = local.new_zeros(blocks, batch)
    for factor, keep in zip(local.unbind(1), real.unbind(1)):
        moved = (product @ step) * factor.unsqueeze(-2)
        moved, scale = _scaled(moved)
        product = torch.where(keep[..., None, None], moved, product)
        log = log + torch.where(keep, scale, 0.0)
    return product, log


def _pairs(product: Tensor, log: Tensor) -> tuple[Tensor, Tensor]:
    joined, scale = _scaled(product[0::2] @ product[1::2])
    return joined, log[0::2] + log[1::2] + scale


def _within_blocks(left: Tensor, right: Tensor, local: Tensor, real: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Forward and backward messages of all steps, both ``[C * S, B, K]``."""
    forward, backward = [], []
    for factor, keep in zip(local.unbind(1), real.unbind(1)):
        left = torch.where(keep.unsqueeze(-1), _unit((left @ step) * factor), left)
        forward.append(left)
    for factor, keep in zip(reversed(local.unbind(1)), reversed(real.unbind(1))):
        backward.append(right * factor)
        right = torch.where(keep.unsqueeze(-1), _unit(backward[-1] @ step.T), right)
    return torch.stack(forward, 1).flatten(0, 1), torch.stack(backward[::-1], 1).flatten(0, 1)


def _move(vector: Tensor, matrix: Tensor) -> Tensor:
    return (vector.unsqueeze(-2) @ matrix).squeeze(-2)


def _unit(vector: Tensor) -> Tensor:
    """Divided by its sum; zero where it is."""
    return vector / vector.sum(-1, keepdim=True).clamp_min(torch.finfo(vector.dtype).tiny)


def _scaled(matrix: Tensor) -> tuple[Tensor, Tensor]:
    scale = matrix.amax((-2, -1)).clamp_min(torch.finfo(matrix.dtype).tiny)
    return matrix / scale[..., None, None], scale.log()
