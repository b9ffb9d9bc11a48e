"""Encoded dialogues to batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@dataclass
class DataCollatorForDialogue:
    """Pads rows of `DialogueEncoder` to a batch; labels with -100.

    Rows to train on are padded on the right, and contexts, which generation goes on behind, on the left.

    Args:
        tokenizer: has the id of [PAD].
        pad_to_multiple_of: pads the number of tokens up to a multiple of this.
    """

    tokenizer: PreTrainedTokenizerBase
    pad_to_multiple_of: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """A batch of ``[B, L]``, and ``generated_token_type_ids`` ``[B]`` where the rows are contexts."""
        pad = self.tokenizer.pad_token_id
        multiple = self.pad_to_multiple_of or 1
        length = -(-max(len(row["input_ids"]) for row in rows) // multiple) * multiple
        on_the_left = "generated_token_type_ids" in rows[0]
        # The type of padding may be any that exists.
        fillings = {"input_ids": pad, "token_type_ids": 0, "attention_mask": 0, "labels": -100}
        batch = {}
        for name, filling in fillings.items():
            if name in rows[0]:
                padded = torch.full((len(rows), length), filling)
                for target, row in zip(padded, rows):
                    own = torch.as_tensor(row[name], dtype=torch.long)
                    start = length - len(own) if on_the_left else 0
                    target[start : start + len(own)] = own
                batch[name] = padded
        if on_the_left:
            batch["generated_token_type_ids"] = torch.tensor([row["generated_token_type_ids"] for row in rows])
        return batch
