"""What all runs share: an encoder small enough for a processor, and Trainer's settings."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from hf_ext import RoFormerConfig
from studies.sources import Sources


def training_arguments(
    sources: Sources, seed: int, epochs: float, learning_rate: float, **options: Any
) -> TrainingArguments:
    """Those of ``hf-ext train`` but for the evaluations on the way: the last model is scored, none is chosen.

    Args:
        sources: say where to write, and whether two steps are enough.
        seed: of dropout and the order of texts.
        epochs: passes over the training texts.
        learning_rate: the highest; it rises for a tenth of the steps and falls to 0 in a line.
        **options: of TrainingArguments.
    """
    steps = {"max_steps": 2} if sources.quick else {"num_train_epochs": epochs}
    settings: dict[str, Any] = {
        "learning_rate": learning_rate,
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 64,
        "train_sampling_strategy": "group_by_length",
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.accelerator.is_available(),
        **steps,
        **options,
    }
    return TrainingArguments(output_dir=str(output_folder(sources)), seed=seed, **settings)


def output_folder(sources: Sources) -> Path:
    """Where a run leaves its model, over that of the run before."""
    return sources.folder / "model"


def encoder_config(sources: Sources) -> str:
    """The folder of the config of the encoder of all runs: a RoFormer of one block, 64 wide."""
    folder = sources.folder / "config"
    config = RoFormerConfig(
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
        attention_probs_dropout_prob=0.0,
        unpad=True,
    )
    config.save_pretrained(folder)
    return str(folder)
