"""Batches of pairs of texts, for losses and scores of their vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@dataclass
class DataCollatorForSimilarity:
    """Makes a batch of N pairs: rows 2i and 2i+1 are the two texts of a pair.

    Args:
        tokenizer: of the model.
        max_length: most tokens of a text; what is beyond is cut off.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int = 128

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Model inputs ``[2N, L]`` of ``{"text1", "text2"}``, and ``labels`` ``[N]`` if they have a ``"score"``."""
        texts = [text for example in examples for text in (example["text1"], example["text2"])]
        batch: Any = self.tokenizer(
            texts, truncation=True, max_length=self.max_length, padding=True, padding_side="right", return_tensors="pt"
        )
        if "score" not in examples[0]:
            return {**batch}
        return {**batch, "labels": torch.tensor([example["score"] for example in examples], dtype=torch.float32)}
