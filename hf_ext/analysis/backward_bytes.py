"""How much memory a forward pass keeps for the backward pass (kexue.fm/archives/7367; arXiv 1604.06174)."""

import gc
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Made(TorchDispatchMode):
    """Remembers the memory of all tensors that operations make, without keeping it."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {
            StorageWeakRef(one.untyped_storage()) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)
        }
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if isinstance(one, Tensor):
                storage = one.untyped_storage()
                # A view, or what was written in place, is of something that was there.
                if (key := StorageWeakRef(storage)) not in given:
                    self.sizes[key] = storage.nbytes()
        return found


def backward_bytes(forward: Callable[[], Tensor]) -> int:
    """Count the bytes that are still there after a forward pass: what its backward pass will use, and the loss.

    Each piece of memory counts once, however many tensors are views of it; weights and inputs, which were there before,
    do not. What gradient checkpointing keeps for running a layer again is among it. The count is the same on any
    machine, but for the back ends that a machine has.

    Args:
        forward: gives the loss of a model in training.

    Returns:
        The bytes.

    Raises:
        ValueError: if what it gives has no gradient.
    """
    with _Made() as made:
        loss = forward()
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise ValueError("forward must give a loss that has a gradient, got one without")
    gc.collect()
    kept = sum(size for key, size in made.sizes.items() if not key.expired())
    del loss
    return kept
