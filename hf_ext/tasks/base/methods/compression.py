"""The options of BERT-of-Theseus."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig, TrainerCallback

from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.replacement_schedule import ReplacementSchedule
from hf_ext.training.theseus import attach_successor


@dataclass(kw_only=True)
class CompressionOptions:
    """A model of fewer layers that learns to stand in for a trained one."""

    compress_to: int | None = option(
        "Train a model of so many layers to stand in for the trained model, and save it (BERT-of-Theseus).",
        None,
        group=METHODS,
    )
    replacement_rate: float | None = option(
        "Probability of a part of it to stand in at first; else 0.5.", None, group=METHODS
    )
    replacement_slope: float | None = option(
        "What each step adds to the probability, up to 1, as 0.0006; 0 leaves it as it is.", None, group=METHODS
    )
    replacement_steps: float | None = option(
        "After so many steps, or such a share of them, it is trained alone; else after two thirds.", None, group=METHODS
    )

    def check_compression(self) -> None:
        """Raise ValueError if options of a replacement have no effect, or one is out of range."""
        if self.compress_to is None:
            for name in ("replacement_rate", "replacement_slope", "replacement_steps"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} goes with compress_to, got {getattr(self, name)} without it")
            return
        if self.compress_to < 1:
            raise ValueError(f"compress_to must be at least 1, got {self.compress_to}")
        if self._model is None:
            raise ValueError(
                f"compress_to goes with model, which is trained already, got {self.compress_to} without it"
            )
        try:
            # Made, it checks its numbers.
            list(self.compression_callbacks())
        except ValueError as error:
            raise ValueError(f"options of the replacement do not fit: {error}") from None

    def compress(self, model: Any) -> None:
        """Make of a model, as it was opened, the one that is trained.

        Raises:
            ValueError: if it is not trained for the task, or cannot have so few layers.
        """
        if self.compress_to is None:
            return
        self._check_trained(model)
        try:
            attach_successor(model, self.compress_to)
        except ValueError as error:
            raise ValueError(f"compress_to={self.compress_to} cannot be had of {self._model}: {error}") from error

    def compression_callbacks(self) -> Iterator[TrainerCallback]:
        """That which lets the new model stand in more and more."""
        if self.compress_to is None:
            return
        rate = 0.5 if self.replacement_rate is None else self.replacement_rate
        steps = self.replacement_steps
        if steps is None and self.replacement_slope is None:
            # Of 15 epochs the original's successor has the last 5 to itself.
            steps = 2 / 3
        yield ReplacementSchedule(rate, self.replacement_slope, steps)

    @property
    def _model(self) -> str | None:
        """What the job starts from."""
        return getattr(self, "model", None)

    def _check_trained(self, model: Any) -> None:
        """Raise ValueError if the head of a model is new, as it is to stay as it is."""
        trained = AutoConfig.from_pretrained(str(self._model)).architectures or ()
        # An encoder alone has none.
        if model.base_model is not model and type(model).__name__ not in trained:
            raise ValueError(
                f"model must be trained for the task, as its head stays as it is under compress_to, got "
                f"{', '.join(trained) or 'no class'} in {self._model}, and a new head of a {type(model).__name__}"
            )
