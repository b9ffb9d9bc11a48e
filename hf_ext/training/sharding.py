"""What has to be said to Accelerate where it divides a model among processes."""

import os
from typing import Any

from torch import nn


def divides_weights(arguments: Any) -> bool:
    """Whether the arguments of a Trainer, or the configuration of ``accelerate launch``, ask for FSDP or DeepSpeed."""
    launched = any(_launched_with(name) for name in ("FSDP", "DEEPSPEED"))
    return bool(launched or arguments.fsdp or arguments.deepspeed)


def check_sharded(arguments: Any, state: Any) -> None:
    """Refuse a run that asks for FSDP where Accelerate would copy the model to each process instead.

    Args:
        arguments: of the Trainer.
        state: Accelerate's.

    Raises:
        ValueError: if FSDP is asked for and not done.
    """
    if (arguments.fsdp or _launched_with("FSDP")) and getattr(state, "fsdp_plugin", None) is None:
        raise ValueError(
            "fsdp must be left out on a CPU or in one process, where Accelerate trains whole models instead, got it"
        )


def shard_by_blocks(model: nn.Module, plugin: Any) -> None:
    """Make FSDP2 divide a model by the blocks that it names, unless its settings name others.

    Accelerate divides the word embeddings on their own, and fails at those of BERT and its kin, which name the module
    around them as a block.

    Args:
        model: with ``_no_split_modules``.
        plugin: Accelerate's settings of FSDP.

    Raises:
        ValueError: if the embeddings or the output layer, divided on its own too, share weights with another layer.
    """
    if plugin.fsdp_version != 2:
        return
    ends: list[Any] = [getattr(model, f"get_{end}_embeddings", lambda: None)() for end in ("input", "output")]
    own = {id(parameter) for end in ends if end is not None for parameter in end.parameters()}
    for place, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in own and module not in ends:
                raise ValueError(
                    f"fsdp must be left out of training a {type(model).__name__}, whose embeddings or output layer "
                    f"share {place}.{name} with another layer; DDP trains it"
                )
    names = getattr(model, "_no_split_modules", None)
    if names and not plugin.transformer_cls_names_to_wrap:
        around = {type(module).__name__ for module in model.modules() if ends[0] in module.children()}
        plugin.transformer_cls_names_to_wrap = [name for name in names if name not in around]


def _launched_with(name: str) -> bool:
    return os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true"
