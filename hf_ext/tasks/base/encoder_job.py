"""The job of a task whose texts have one limit of length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from hf_ext.data.input_limit import check_input_length, count_tokens
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.option import option


@dataclass
class EncoderJob(Job):
    """A job on texts that have one limit of length."""

    max_length: int = option(
        "Tokens of a text, or of a pair that is read at once; what is beyond is cut off.", 128, group="Lengths"
    )

    of_evaluation: ClassVar[tuple[str, ...]] = ("max_length",)
    saves_max_length: ClassVar[bool] = True
    """Whether ``max_length`` is that of single texts too, and saved with the tokenizer."""

    @property
    def text_length(self) -> int | None:
        """Most tokens of a text, which the tokenizer is saved with; None: it keeps its own."""
        return self.max_length if self.saves_max_length else None

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """Tokens of what is read at once: a text, or a pair."""
        inputs = [tuple(self.inputs_of(example)) for example in examples]
        return {"max_length": (count_tokens(tokenizer, inputs), self.max_length)}

    @property
    def row_length(self) -> int | None:
        """Most tokens of a row."""
        return self.max_length

    def open_model(
        self, auto_class: Any, tokenizer: PreTrainedTokenizerBase, fields: Mapping[str, Any], **head: Any
    ) -> Any:
        """The model that the job names.

        Args:
            auto_class: opens or makes it.
            tokenizer: of the model.
            fields: of the config.
            **head: options of the head.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``.
        """
        if self.model is None:
            return auto_class.from_config(self.new_config(tokenizer, **fields), **head)
        model = auto_class.from_pretrained(self.model, **fields, **head)
        self.check_length(model)
        return model

    def check_length(self, model: Any) -> None:
        """Raise ValueError if the model takes fewer tokens than ``max_length``."""
        check_input_length(self.max_length, model.config)
