"""The five tasks of the articles on sentence vectors, and how these train SimCSE on them (kexue.fm/archives/8348)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARTS: Mapping[str, str] = {"train": "train", "validation": "valid", "test": "test"}
"""What files call the parts of a task."""


@dataclass(frozen=True)
class SimilarityTask:
    """A task of pairs.

    Attributes:
        name: of the task, its folder and its files.
        max_length: tokens of a text.
        max_texts: texts that SimCSE learns from; None: all.
    """

    name: str
    max_length: int = 64
    max_texts: int | None = 10_000

    @property
    def files(self) -> dict[str, str]:
        """The name of the file of each part."""
        return {part: f"{self.name}.{ending}.data" for part, ending in PARTS.items()}

    @property
    def options(self) -> dict[str, Any]:
        """Options of `hf_ext.tasks.similarity.SimilarityJob`, however it is trained."""
        return {"max_length": self.max_length}

    @property
    def simcse(self) -> dict[str, Any]:
        """Options of the job and training arguments of SimCSE, on a training file with the texts of all parts."""
        return {**self.options, **SIMCSE, **({} if self.max_texts is None else {"max_texts": self.max_texts})}


TASKS = (
    SimilarityTask("ATEC"),
    SimilarityTask("BQ"),
    SimilarityTask("LCQMC"),
    SimilarityTask("PAWSX", max_length=128, max_texts=None),
    SimilarityTask("STS-B"),
)

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
"""Those that all tasks share."""

WHITENED_SIZES: Mapping[str, int] = {"base": 256, "large": 384, "small": 128, "tiny": 128}
"""Numbers of a vector that the articles keep, by the size of the model."""
