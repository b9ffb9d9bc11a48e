"""Pads encoded rows of span extraction to a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from transformers import PreTrainedTokenizerBase

from hf_ext.transformers_private import pad_inputs

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class DataCollatorForSpanExtraction:
    """Pads model inputs on the right with the tokenizer, and ``labels`` to ``[B, M, 3]`` with -100.

    Token positions, in labels and in predictions, count from the beginning of a row: padding on the left, which some
    tokenizers prefer, would move them. M is the largest number of spans in the batch, at least 1. Columns that are
    neither model inputs nor labels are dropped; without labels in the rows there are none in the batch.

    Args:
        tokenizer: names the model inputs and pads them.
        pad_to_multiple_of: pads the number of tokens up to a multiple of this.
    """

    label_width: ClassVar[int] = 3

    tokenizer: PreTrainedTokenizerBase
    pad_to_multiple_of: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> "dict[str, Tensor]":
        """A batch of ``[B, L]`` model inputs and ``[B, M, 3]`` labels.

        Args:
            rows: with the tokenizer's model inputs and, if any, ``labels`` as lists of (label, start, end) token spans.
        """
        # Texts are encoded where there is no PyTorch, too.
        import torch

        batch = pad_inputs(self.tokenizer, rows, pad_to_multiple_of=self.pad_to_multiple_of, padding_side="right")
        if "labels" in rows[0]:
            spans = [torch.as_tensor(row["labels"], dtype=torch.long).reshape(-1, self.label_width) for row in rows]
            labels = torch.full((len(rows), max(1, *map(len, spans)), self.label_width), -100)
            for padded, own in zip(labels, spans):
                padded[: len(own)] = own
            batch["labels"] = labels
        return batch
