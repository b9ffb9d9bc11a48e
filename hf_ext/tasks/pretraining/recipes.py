"""The settings that released models were pre-trained with."""

from collections.abc import Mapping
from typing import Any

# WoBERT's are those of its README (ZhuiyiTechnology/WoBERT): 16 texts and 16 accumulated steps of one card, of which a
# million are 62,500 updates. RoFormer's are the first of the stages in arXiv 2104.09864, which names no rate: that of
# WoBERT Plus stands in. A batch has 256 rows in each.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "wobert": {
        "max_length": 512,
        "learning_rate": 5e-6,
        "max_steps": 62_500,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 16,
    },
    "wobert-plus": {
        "max_length": 512,
        "learning_rate": 1e-5,
        "max_steps": 250_000,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 16,
    },
    "roformer": {
        "max_length": 512,
        "learning_rate": 1e-5,
        "max_steps": 200_000,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 16,
    },
}
