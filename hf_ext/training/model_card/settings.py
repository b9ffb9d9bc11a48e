"""The settings of a run, as a card lists them."""

from typing import Any

from transformers import Trainer

from hf_ext.training.model_card.facts import CardFacts
from hf_ext.training.model_card.results import kept_best


def settings(trainer: Trainer, facts: CardFacts) -> dict[str, str]:
    """The settings of a run by their names: those of its options, then what of the training arguments matters."""
    args, state, made = trainer.args, trainer.state, trainer.optimizer_cls_and_kwargs
    of_options = {name.replace("_", " "): _text(value) for name, value in facts.options.items()}
    batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    factors = {
        "a device": args.train_batch_size,
        "accumulated": args.gradient_accumulation_steps,
        "processes": args.world_size,
    }
    parts = ", ".join(f"{value} {name}" for name, value in factors.items() if name == "a device" or value > 1)
    steps = f"{state.epoch or 0:.4g}, which is {state.global_step:,} steps"
    if kept_best(trainer):
        steps += f"; step {state.best_global_step:,} is kept"
    of_training = {
        "epochs": steps,
        "learning rate": _text(args.learning_rate),
        "schedule": f"{_text(args.lr_scheduler_type)}, {_warmup(args)}",
        "batch size": f"{batch} ({parts})" if batch != args.train_batch_size else str(batch),
        "optimiser": _text(args.optim if made is None else made[0].__name__),
        "weight decay": _text(args.weight_decay),
        "precision": "bfloat16, mixed" if args.bf16 else "float16, mixed" if args.fp16 else "float32",
        "seed": str(args.seed),
    }
    return of_options | of_training


def _warmup(args: Any) -> str:
    # Below 1 it is a share of the steps.
    warmup = args.warmup_steps or 0
    return f"warmup over {warmup:.0%} of the steps" if 0 < warmup < 1 else f"{int(warmup)} steps of warmup"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(own)}" for name, own in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    # Of an enumeration.
    return str(getattr(value, "value", value))
