"""What the answers of all tasks have in common: a tokenizer, graphs, and options that a call may have."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from hf_ext.export.description import OnnxDescription
from hf_ext.export.graph_session import Array, GraphSession

# Cells of a table of tokens by tokens that are made at once: 16 rows of 256 tokens, 4 of 512.
_MOST_CELLS = 2**20
# As many batches of texts are sorted by length together.
_SORTED_BATCHES = 16


class Answers:
    """The answers of one task; a subclass makes them.

    Args:
        description: of the folder.
        tokenizer: of the model.
        config: of the model.
        graphs: by their names.
    """

    options: ClassVar[tuple[str, ...]] = ()
    """The options that a call may have."""

    def __init__(
        self, description: OnnxDescription, tokenizer: Any, config: Any, graphs: Mapping[str, GraphSession]
    ) -> None:
        self.description, self.tokenizer, self.config, self.graphs = description, tokenizer, config, graphs

    def stream(self, inputs: Iterator[Any], batch_size: int, **options: Any) -> Iterator[Any]:
        """The answer to each input, in their order; as many inputs are taken at a time as fill some batches."""
        while some := list(islice(inputs, batch_size * _SORTED_BATCHES if batch_size > 1 else 1)):
            yield from self.answers(some, batch_size, **options)

    def answers(self, inputs: Sequence[Any], batch_size: int, **options: Any) -> Iterator[Any]:
        """The answer to each of several inputs."""
        raise NotImplementedError

    def joined(self, answers: list[Any]) -> Any:
        """What is given for a list of inputs."""
        return answers

    def check_length(self, asked: int | None, name: str = "max_length") -> int:
        """Tokens of a text: those asked for, or what model and tokenizer take.

        Raises:
            ValueError: naming the argument, if they are none, or the model has no positions for them.
        """
        if asked is not None and asked < 1:
            raise ValueError(f"{name} must be at least 1, got {asked}")
        longest = self.description.longest
        if asked is not None and longest is not None and asked > longest:
            raise ValueError(f"{name} must be at most the model's {longest} positions, got {asked}")
        return self.description.max_length if asked is None else asked

    def batches(self, lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
        """Numbers of rows that run together, the longest first."""
        order = sorted(range(len(lengths)), key=lambda number: lengths[number], reverse=True)
        while order:
            size = max(1, min(batch_size, _MOST_CELLS // lengths[order[0]] ** 2))
            yield order[:size]
            order = order[size:]

    def padded(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Array]:
        """Rows padded on the right to ``[B, L]``.

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
                batch[name][number, : len(values)] = values
        return batch

    def inputs_of(self, columns: Mapping[str, Sequence[Any]], number: int) -> dict[str, Sequence[int]]:
        """The inputs of the graph in one row of what a tokenizer or an encoder made."""
        names = self.graphs["model"].inputs
        row = {name: columns[name][number] for name in names if name in columns}
        # A tokenizer without special tokens makes nothing of an empty text, of which a model can make nothing.
        empty = {"input_ids": self.tokenizer.pad_token_id or 0, "attention_mask": 1}
        return row if row["input_ids"] else {name: [empty.get(name, 0)] for name in row}


def check_threshold(threshold: float | None) -> None:
    """Raise ValueError if a threshold is no probability below 1."""
    if threshold is not None and not 0 <= threshold < 1:
        raise ValueError(f"threshold must be in [0, 1), got {threshold}")
