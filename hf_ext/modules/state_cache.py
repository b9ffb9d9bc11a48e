"""What a model keeps between the steps of a generation where it is a state of constant size in each layer."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache


class StateCache(Cache):
    """States of all layers, in a size that does not depend on the length of the text.

    Those of a layer are a :class:`hf_ext.ops.row_state.RowState` with ``lengths`` ``[B]``, the number of real tokens of
    each row. A state cannot forget its last tokens, so that drafts (assisted generation) are out of its reach.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.states: dict[int, Any] = {}
        self.columns = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Number of tokens of a row that have been run, padding included."""
        return self.columns

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """-1: no length is too long."""
        return -1

    @property
    def row_lengths(self) -> Tensor | None:
        """Number of real tokens of each row, ``[B]``; None before the first."""
        return self.states[0].lengths if self.states else None

    @property
    def batch_size(self) -> int:
        """Number of rows, -1 before the first token."""
        return len(self.states[0].lengths) if self.states else -1

    @property
    def is_compileable(self) -> bool:
        """False: nothing is kept in a place that a graph could reserve."""
        return False

    @property
    def is_linear(self) -> list[bool]:
        """False of each layer: tokens are counted, by which the library leaves out those that have been run."""
        return [False] * max(1, len(self.states))

    @property
    def is_initialized(self) -> bool:
        """Whether there is a state."""
        return bool(self.states)

    @property
    def is_croppable(self) -> bool:
        """False."""
        return False

    def crop(self, tokens_to_remove: int) -> None:
        """Raise: tokens cannot be taken back.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"a {type(self).__name__} cannot take tokens back, as it has sums, got tokens_to_remove={tokens_to_remove}"
        )

    def reset(self) -> None:
        """Forget everything."""
        self.states.clear()
        self.columns = 0

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Take the states of other rows, as beam search asks."""
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Take the states of the rows ``indices``."""
        self.states = {layer: state.select(indices) for layer, state in self.states.items()}

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row."""
        if self.states:
            rows = torch.arange(self.batch_size, device=self.states[0].lengths.device)
            self.batch_select_indices(rows.repeat_interleave(repeats))
