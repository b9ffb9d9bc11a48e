"""Trainer that trains low-rank adapters (LoRA, arXiv 2106.09685), and leaves a model that has them merged into it."""

from typing import Any

from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel, Trainer

from hf_ext.auto_map import mark_code
from hf_ext.carried_code import THIN

# How heads are called that begin with random weights, ours and those of the library.
_HEADS = ("classifier", "score")


class LoraTrainer(Trainer):
    """Trainer of adapters of the encoder's layers, those that PEFT adapts of its family by itself, and of the head.

    While it trains, its model is PEFT's, and checkpoints have adapters and head alone. When it has trained, the model
    is the one that was given, with the adapters added to its weights: nothing that comes after has to know of them.

    Args:
        model: with an encoder that is trained already.
        *args: Trainer's.
        rank: of the adapters.
        alpha: they are multiplied by ``alpha / rank``; None: twice the rank.
        **kwargs: Trainer's.

    Raises:
        ValueError: if PEFT does not know the layers of the model's family, an optimiser is made for the parameters that
            it had, or the weights are divided among processes.
    """

    def __init__(
        self, model: PreTrainedModel | None = None, *args: Any, rank: int, alpha: float | None = None, **kwargs: Any
    ) -> None:
        for name in ("optimizers", "optimizer_cls_and_kwargs"):
            if kwargs.get(name) not in (None, (None, None)):
                raise ValueError(f"{name} must be left out, as it does not know the adapters, got {kwargs[name]}")
        super().__init__(_adapted(model, rank, 2 * rank if alpha is None else alpha), *args, **kwargs)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError("adapters are merged into whole weights, got FSDP or DeepSpeed, which may shard them")

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As Trainer's, which merges the adapters at the end."""
        result = super().train(*args, **kwargs)
        adapted: Any = self.model
        merged = adapted.merge_and_unload()
        self.model = self.model_wrapped = merged
        # What was prepared of the adapted model is not what is evaluated from now on.
        self.accelerator.free_memory()
        mark_code(merged, self.processing_class, THIN)
        return result


def _adapted(model: Any, rank: int, alpha: float) -> Any:
    heads = [name for name, _ in model.named_children() if name in _HEADS]
    # It says int, and divides.
    scale: Any = alpha
    settings = LoraConfig(r=rank, lora_alpha=scale, modules_to_save=heads or None)
    try:
        return get_peft_model(model, settings)
    except ValueError as error:
        kind = getattr(model.config, "model_type", type(model).__name__)
        raise ValueError(f"model must be of a family whose layers PEFT knows, got a {kind}: {error}") from error
