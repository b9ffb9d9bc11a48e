"""How the articles on sentence vectors train SimCSE (kexue.fm/archives/8348)."""

from collections.abc import Mapping
from typing import Any

SIMCSE: Mapping[str, Any] = {
    "loss": "simcse",
    "dropout": 0.3,
    "scale": 20.0,
    # Adam, at a constant rate.
    "optim": "adamw_torch",
    "learning_rate": 1e-5,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 0.0,
    "per_device_train_batch_size": 64,
    "num_train_epochs": 1,
}
"""Options of the job and training arguments."""

MAX_TEXTS = 10_000
"""Texts that it learns from, but of PAWSX, whose texts it learns from are all."""
