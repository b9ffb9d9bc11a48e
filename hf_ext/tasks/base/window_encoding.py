"""Windows of texts of any length, as they are read with PyTorch and without."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_ext.data.span_encoding import SpanEncoder

SORTED_BATCHES = 16
"""As many batches of texts are sorted by length together: what is read ahead of a generator."""


class WindowEncoding:
    """Makes rows of tokens of texts; what it is a part of has a tokenizer, and says how long a window may be."""

    tokenizer: Any

    def window_length(self, asked: int | None, name: str = "max_length") -> int:
        """Tokens of a window: those asked for, or what model and tokenizer take.

        Raises:
            ValueError: naming the argument, if the model has no positions for them.
        """
        raise NotImplementedError

    def encode(
        self, inputs: Sequence[Any], max_length: int | None = None, stride: int | None = None
    ) -> tuple[list[str], Mapping[str, Any]]:
        """The texts, and columns of the rows of their windows: model inputs, ``offset_mapping`` and ``example_id``.

        Raises:
            TypeError: if an input is no text.
            ValueError: if the model has no positions for ``max_length``, or ``stride`` does not fit into it.
        """
        for one in inputs:
            if not isinstance(one, str):
                raise TypeError(f"inputs must be texts, got {type(one).__name__}")
        encoder = SpanEncoder(self.tokenizer, {}, self.window_length(max_length), stride)
        return list(inputs), encoder({"text": list(inputs)}, range(len(inputs)))
