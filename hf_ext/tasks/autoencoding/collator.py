"""Batches that an autoencoder learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.transformers_private import pad_inputs


@dataclass
class DataCollatorForTextAutoencoding:
    """Pads texts on the right, with labels that ask for all tokens of each but its first.

    The model reads a text twice, to code it and to write it again, from these same inputs. The original asked for
    padding and the second [CLS] too; here only real tokens count.

    Args:
        tokenizer: of the model.
        half_length: most tokens of a text, as the model's config says; None: not looked at here.
        pad_to_multiple_of: pads the number of tokens up to a multiple of this, ``half_length`` at most.
    """

    tokenizer: PreTrainedTokenizerBase
    half_length: int | None = None
    pad_to_multiple_of: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """A batch of ``input_ids``, ``attention_mask`` and ``labels``, each ``[B, L]``.

        Args:
            rows: with ``input_ids``, a text each.

        Raises:
            ValueError: if a text is longer than ``half_length``, or has nothing behind its first token.
        """
        lengths = [len(row["input_ids"]) for row in rows]
        if self.half_length is not None and max(lengths) > self.half_length:
            raise ValueError(f"a text must have at most half_length={self.half_length} tokens, got {max(lengths)}")
        if min(lengths) < 2:
            raise ValueError(
                f"a text must have a token behind its first one, [SEP] at least, got {min(lengths)} tokens"
            )
        plain = [{"input_ids": row["input_ids"], "attention_mask": [1] * len(row["input_ids"])} for row in rows]
        multiple = self.pad_to_multiple_of
        if multiple and self.half_length is not None and -(-max(lengths) // multiple) * multiple > self.half_length:
            multiple = None
        batch = pad_inputs(self.tokenizer, plain, padding_side="right", pad_to_multiple_of=multiple)
        batch.pop("token_type_ids", None)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        labels[:, 0] = -100
        return {**batch, "labels": labels}
