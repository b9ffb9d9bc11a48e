"""Short runs by each method of training, as the options of a job set it up, over a small model."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from trainer_runs import descent
from transformers import AutoModelForSequenceClassification, TrainingArguments, set_seed

import hf_ext
from hf_ext.losses import for_trainer
from hf_ext.tasks.classification import ClassificationJob

_VALUES = {"penalty_weight": 0.5, "penalty_pattern": r".*\.value\.weight"}
METHODS: dict[str, dict[str, Any]] = {
    "R-Drop": {"r_drop": 4.0},
    "FGM": {"adversarial": "fgm"},
    "gradient penalty": {"adversarial": "penalty", "adversarial_epsilon": 5.0},
    "VAT": {"adversarial": "vat"},
    "orthogonality": {"penalty": "soft", **_VALUES},
    "self-orthogonality": {
        "penalty": "self_orthogonality",
        "penalty_weight": 0.01,
        "penalty_pattern": r".*\.output\.dense",
    },
    "WEISSI": {"penalty": "weissi", **_VALUES},
    "initial weights": {"initialization": "deepnorm"},
    "growing branches": {"residual_ramp": 3},
    "Theseus": {"compress_to": 1},
    "layer decay": {"layer_decay": 0.5},
    "rates by name": {"learning_rate_multipliers": {"value": 0.25}},
    "averages": {"ema_decay": 0.5},
    "AdaFactor": {"optimizer": "article"},
}
TOGETHER = {one: (one,) for one in METHODS} | {"many": ("R-Drop", "FGM", "WEISSI", "layer decay", "averages")}
"""What is tried in two processes: each method, and many at once."""

ROWS = [
    {"input_ids": [2, 5 + n, 3 + 2 * n % 7, 4, n % 2], "attention_mask": [1, 1, 1, 1, n % 2], "labels": n % 3}
    for n in range(16)
]


def options(*methods: str) -> dict[str, Any]:
    """Those of several methods."""
    return {name: value for one in methods for name, value in METHODS[one].items()}


def write_start(folder: Path) -> None:
    """Write the model that all runs begin with."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    config = hf_ext.RoFormerConfig(vocab_size=24, num_labels=3, initializer_range=0.3, **sizes)
    hf_ext.RoFormerForSequenceClassification(config).save_pretrained(folder)


def run(
    folder: Path,
    options: dict[str, Any],
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float64,
    lora: bool = False,
    resume: Path | None = None,
    **arguments: Any,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What learns, before and after three steps of four rows.

    Args:
        folder: with the model that `write_start` wrote, to write into.
        options: of methods.
        dropout: of the model.
        dtype: of its weights.
        lora: whether adapters of it learn, and the head.
        resume: a checkpoint to go on from.
        **arguments: of the training.
    """
    begins = {"model": str(folder)} if "compress_to" in options else {"config": "tiny"}
    job = ClassificationJob(train_file=Path("a"), validation_file=Path("b"), **begins, **options)
    set_seed(0)
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype, **rates)
    job.prepare_model(model)
    if lora:
        model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"]))
    before = learning(model)
    settings = {"per_device_train_batch_size": 4, "max_steps": 3, "learning_rate": 0.05, **arguments}
    if "optimizer" in options:
        settings["optim"] = TrainingArguments.optim
    trainer = job.trainer_with_methods(job.trainer_class)(
        model,
        descent(folder / "out", **settings),
        train_dataset=ROWS,
        compute_loss_func=for_trainer("cross_entropy"),
        callbacks=[*job.method_callbacks()],
        smooths_labels=True,
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return before, learning(model)


def learning(model: Any) -> dict[str, Tensor]:
    """Copies of the parameters that learn."""
    return {name: one.detach().clone() for name, one in model.named_parameters() if one.requires_grad}
