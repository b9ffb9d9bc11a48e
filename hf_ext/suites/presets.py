"""What presets of Chinese suites share: the settings of the articles' scripts, and those of the official baselines."""

from collections.abc import Mapping
from typing import Any

ARTICLE_OPTIMIZER: Mapping[str, Any] = {"optimizer": "article"}
"""The option by which a job has the article's optimiser: AdaFactor, not factored, with momentum."""

FIRST_TOKEN: Mapping[str, Any] = {"head": "first_token"}
"""The option by which classes and choices are scored by one linear layer over the first token, as in the articles."""

ONE_SEGMENT: Mapping[str, Any] = {"one_segment": True}
"""The option by which both texts of a pair have the token type 0, as in the articles."""

ARTICLE: Mapping[str, Any] = {
    **ARTICLE_OPTIMIZER,
    "learning_rate": 5e-4,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    # The optimiser bounds its steps by itself.
    "max_grad_norm": 0.0,
    "per_device_train_batch_size": 32,
    "num_train_epochs": 10,
    "train_sampling_strategy": "random",
}
"""Those of CLUE with bert4keras (kexue.fm/archives/8739)."""

OFFICIAL: Mapping[str, Any] = {
    "learning_rate": 2e-5,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0.1,
    "weight_decay": 0.01,
    "train_sampling_strategy": "random",
}
"""AdamW with a linear decay, as CLUE's baselines have it; where these say nothing of warm-up, that of PaddleNLP's."""
