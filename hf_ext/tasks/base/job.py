"""What jobs that train an encoder or a decoder share: the files, and where it starts from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.input_limit import check_input_length
from hf_ext.models.roformer.sizes_roformer import config_of_size


@dataclass
class EncoderJob:
    """Files, and a model to start from.

    Attributes:
        train_file: what to train on.
        validation_file: what to evaluate on.
        model: checkpoint to fine-tune, a name on the Hub or a folder. Either this or ``config``.
        config: to train from scratch: the name of a size of RoFormer (``"small"``), the folder or file of a config, or
            the name of a repository on the Hub (``"org/name"``).
        tokenizer: name or folder; None: the model's, or for a new model the characters of the training file.
        max_length: most tokens of a text, or of a pair that is read at once; saved with the tokenizer.
    """

    train_file: Path
    validation_file: Path
    model: str | None = None
    config: str | None = None
    tokenizer: str | None = None
    max_length: int = 128

    saves_max_length: ClassVar[bool] = True
    """Whether ``max_length`` is that of single texts too, and saved with the tokenizer."""

    def __post_init__(self) -> None:
        if (self.model is None) == (self.config is None):
            given = "neither" if self.model is None else "both"
            raise ValueError(f"give either model (to fine-tune) or config (to train from scratch), got {given}")

    def load_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """The tokenizer that the job names, or one that cuts ``texts`` into characters."""
        name = self.tokenizer or self.model
        tokenizer = AutoTokenizer.from_pretrained(name) if name else build_char_tokenizer(texts)
        if self.saves_max_length:
            tokenizer.model_max_length = self.max_length
        return tokenizer

    def new_config(self, tokenizer: PreTrainedTokenizerBase, **fields: Any) -> Any:
        """The config that a model from scratch is made from."""
        fields |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        name = str(self.config)
        known = Path(name).exists() or "/" in name
        return AutoConfig.from_pretrained(name, **fields) if known else config_of_size(name, **fields)

    def check_length(self, model: Any) -> None:
        """Raise ValueError if the model takes fewer tokens than ``max_length``."""
        check_input_length(self.max_length, model.config)

    def head_labels(self, labels: Sequence[str], suffix: str) -> Sequence[str]:
        """The labels of the model's head, in their order: those of a trained head, or ``labels`` for a new one.

        Args:
            labels: those of the training file.
            suffix: how the names of classes with such a head end.

        Raises:
            ValueError: if a trained head lacks one of the labels.
        """
        if self.model is None:
            return labels
        config = AutoConfig.from_pretrained(self.model)
        if not any(name.endswith(suffix) for name in config.architectures or ()):
            return labels
        trained = [config.id2label[index] for index in range(len(config.id2label))]
        if not set(labels) <= set(trained):
            raise ValueError(
                f"model has a head for the labels {sorted(trained)}, and train_file has {sorted(labels)}; "
                "fine-tune the encoder that it was made from"
            )
        return trained

    def check_examples(self, name: str, examples: Any, kind: str = "texts") -> None:
        """Raise ValueError if the file of that name has nothing in it."""
        if not examples:
            raise ValueError(f"{name} must have {kind}, got none in {getattr(self, name)}")
