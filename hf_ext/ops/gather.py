"""Rows of all processes, for losses that compare each row with every other."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes in their order, with a gradient; the rows themselves where there is one process.

    A loss that every process computes of all these rows is the loss of one process with the whole batch, and so are the
    gradients of parameters once they are averaged over the processes, as DistributedDataParallel does. No gradient has
    to travel: each process knows that of its own rows, and multiplies it by the number of processes.

    Args:
        rows: ``[n, ...]``; n may differ between processes, the rest may not.

    Returns:
        ``[N, ...]``, N the sum of all n.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


def sum_of_processes(values: Tensor) -> Tensor:
    """The sum of all processes' tensors of one shape, without a gradient; the tensor itself where there is one process.

    Args:
        values: of any shape.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return values
    summed = values.detach().clone()
    dist.all_reduce(summed)
    return summed


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        count = torch.tensor([len(rows)], device=rows.device)
        counts = [torch.zeros_like(count) for _ in range(dist.get_world_size())]
        dist.all_gather(counts, count)
        sizes = [int(each) for each in counts]
        # Collectives take equal shapes only.
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        ctx.start, ctx.length, ctx.processes = sum(sizes[: dist.get_rank()]), len(rows), len(sizes)
        return torch.cat([part[:size] for part, size in zip(parts, sizes)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].narrow(0, ctx.start, ctx.length) * ctx.processes
