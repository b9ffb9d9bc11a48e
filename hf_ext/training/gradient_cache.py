"""GradCache: a loss that compares all rows of a large batch, in the memory of a small one (arXiv 2101.06983).

Embeddings are made twice: first without a graph, for the loss and its gradient with respect to them; then, a chunk at a
time and with the same dropout, with a graph through which that gradient flows back.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import get_device_states, set_device_states

Batch = Mapping[str, Tensor]


class RandomState:
    """The state of the generators that dropout draws from: that of the CPU, and those of the devices of a batch."""

    def __init__(self, batch: Batch):
        tensors = list(batch.values())
        self.device_type = next((each.device.type for each in tensors if each.device.type != "cpu"), "cuda")
        self.cpu = torch.get_rng_state()
        self.devices, self.states = get_device_states(*tensors)

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Within, random numbers are those that followed; afterwards the generators stand where they stood before."""
        with torch.random.fork_rng(devices=self.devices, device_type=self.device_type):
            torch.set_rng_state(self.cpu)
            set_device_states(self.devices, self.states, device_type=self.device_type)
            yield


def cached_backward(
    encode: Callable[[Batch], Tensor],
    batch: Batch,
    loss_function: Callable[[Tensor], Tensor],
    chunk_size: int,
    backward: Callable[[Tensor], Any] = torch.Tensor.backward,
    no_sync: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """Accumulate the gradients of ``loss_function(encode(batch))``, as its backward pass would.

    Args:
        encode: a chunk of the batch to embeddings ``[n, H]``; row i of its output must depend on row i alone.
        batch: tensors ``[B, ...]``.
        loss_function: embeddings ``[B, H]`` to a scalar; its own parameters, if it has any, get no gradients.
        chunk_size: rows that are embedded at a time.
        backward: runs the backward pass of a scalar, such as ``accelerator.backward``.
        no_sync: context in which processes do not exchange gradients, for all chunks but the last, such as
            ``partial(accelerator.no_sync, model)``.

    Returns:
        The loss, without a graph.

    Raises:
        ValueError: if ``chunk_size`` is less than 1, or there are no rows.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
    chunks = _split(batch, chunk_size)
    states, parts = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(RandomState(chunk))
            parts.append(encode(chunk))
    embeddings = torch.cat(parts).requires_grad_()
    with torch.enable_grad():
        loss = loss_function(embeddings)
    (gradient,) = torch.autograd.grad(loss, embeddings)
    for index, (chunk, state, wanted) in enumerate(zip(chunks, states, gradient.split(chunk_size)), start=1):
        with nullcontext() if index == len(chunks) else no_sync():
            with state.replayed():
                product = (encode(chunk) * wanted).sum()
            backward(product)
    return loss.detach()


def _split(batch: Batch, chunk_size: int) -> list[dict[str, Tensor]]:
    columns = {name: value.split(chunk_size) for name, value in batch.items()}
    count = len(next(iter(batch.values()))) if batch else 0
    if not count:
        raise ValueError(f"batch must have at least one row, got {dict.fromkeys(batch, 0)}")
    return [{name: parts[index] for name, parts in columns.items()} for index in range(-(-count // chunk_size))]
