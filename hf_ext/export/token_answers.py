"""Answers of models of texts: a tokenizer, and batches of rows of tokens."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from transformers import AutoTokenizer

import hf_ext.tokenization  # noqa: F401  (has AutoTokenizer know ours)
from hf_ext.export.answers import Answers
from hf_ext.export.graph_session import Array

# Cells of a table of tokens by tokens that are made at once: 16 rows of 256 tokens, 4 of 512.
_MOST_CELLS = 2**20


class TokenAnswers(Answers):
    """The answers of one task about texts; a subclass makes them."""

    def __init__(self, folder: Any, *rest: Any) -> None:
        super().__init__(folder, *rest)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def window_length(self, asked: int | None, name: str = "max_length") -> int:
        """Tokens of a text, or of a window of one: those asked for, or what model and tokenizer take.

        Raises:
            ValueError: naming the argument, if they are none, or the model has no positions for them.
        """
        if asked is not None and asked < 1:
            raise ValueError(f"{name} must be at least 1, got {asked}")
        longest, usual = self.description.longest, self.description.max_length
        if asked is not None and longest is not None and asked > longest:
            raise ValueError(f"{name} must be at most the model's {longest} positions, got {asked}")
        assert usual is not None
        return usual if asked is None else asked

    def batches(self, lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
        """Numbers of rows that run together, the longest first."""
        order = sorted(range(len(lengths)), key=lambda number: lengths[number], reverse=True)
        while order:
            size = max(1, min(batch_size, _MOST_CELLS // lengths[order[0]] ** 2))
            yield order[:size]
            order = order[size:]

    def padded(self, rows: Sequence[Mapping[str, Sequence[int]]], on_the_left: bool = False) -> dict[str, Array]:
        """Rows padded to ``[B, L]``, on the right or on the left.

        Raises:
            ValueError: if some are shorter than others, and the tokenizer has no padding token.
        """
        tokenizer = self.tokenizer
        lengths = {len(row["input_ids"]) for row in rows}
        if len(lengths) > 1 and tokenizer.pad_token_id is None:
            raise ValueError(f"tokenizer must have a padding token, got {type(tokenizer).__name__} without one")
        padding = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
        batch = {name: np.full((len(rows), max(lengths)), padding.get(name, 0), np.int64) for name in rows[0]}
        for number, row in enumerate(rows):
            for name, values in row.items():
                start = batch[name].shape[1] - len(values) if on_the_left else 0
                batch[name][number, start : start + len(values)] = values
        return batch

    def inputs_of(self, columns: Mapping[str, Sequence[Any]], number: int) -> dict[str, Sequence[int]]:
        """The inputs of the graph in one row of what a tokenizer or an encoder made."""
        names = self.graphs["model"].inputs
        row = {name: columns[name][number] for name in names if name in columns}
        # A tokenizer without special tokens makes nothing of an empty text, of which a model can make nothing.
        empty = {"input_ids": self.tokenizer.pad_token_id or 0, "attention_mask": 1}
        return row if row["input_ids"] else {name: [empty.get(name, 0)] for name in row}
