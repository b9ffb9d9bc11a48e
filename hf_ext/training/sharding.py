"""What has to be said to Accelerate where it divides a model among processes."""

import os
from typing import Any

from torch import nn


def check_sharded(accelerator_state: Any, wanted: bool) -> None:
    """Refuse a run that asks for FSDP where Accelerate would copy the model to each process instead.

    Args:
        accelerator_state: Accelerate's.
        wanted: whether the arguments ask for it; the configuration of ``accelerate launch`` is looked at too.

    Raises:
        ValueError: if it is asked for and not done.
    """
    launched = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if (wanted or launched) and getattr(accelerator_state, "fsdp_plugin", None) is None:
        raise ValueError(
            "fsdp must be left out on the CPU or with one process, where Accelerate would train whole models without a word"
        )


def shard_by_blocks(model: nn.Module, plugin: Any) -> None:
    """Make FSDP2 divide a model by the blocks that it names, unless its settings name others.

    Accelerate divides the word embeddings on their own, and fails at those of BERT and its kin, which name the module
    around them as a block.

    Args:
        model: with ``_no_split_modules``.
        plugin: Accelerate's settings of FSDP.
    """
    names = getattr(model, "_no_split_modules", None)
    find = getattr(model, "get_input_embeddings", None)
    if plugin.fsdp_version != 2 or plugin.transformer_cls_names_to_wrap or not names or find is None:
        return
    embedding = find()
    around = {type(module).__name__ for module in model.modules() if embedding in module.children()}
    plugin.transformer_cls_names_to_wrap = [name for name in names if name not in around]
