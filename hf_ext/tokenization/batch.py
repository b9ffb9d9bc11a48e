"""A batch whose encodings are made when they are asked for."""

from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import Encoding
from transformers import BatchEncoding, TensorType


class LazyBatchEncoding(BatchEncoding):
    """A `transformers.BatchEncoding` that makes its encodings when something first needs them.

    ``word_ids()``, ``char_to_token()``, ``encodings`` and the like work as with any fast tokenizer; a batch that only
    feeds a model does not pay for them. A pickle or a deep copy is a plain `BatchEncoding` with encodings.

    Args:
        data: the lists or tensors, by name.
        encoding: encodings that exist already.
        tensor_type: as of `BatchEncoding`.
        prepend_batch_axis: as of `BatchEncoding`.
        n_sequences: 1, or 2 for pairs.
        source: makes the encodings.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | TensorType | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
        source: Callable[[], Sequence[Encoding]] | None = None,
    ):
        self._source = source
        self._made: Sequence[Encoding] | None = None
        super().__init__(data, encoding, tensor_type, prepend_batch_axis, n_sequences)

    @property
    def _encodings(self) -> Sequence[Encoding] | None:
        if self._source is not None:
            self._made, self._source = self._source(), None
        return self._made

    @_encodings.setter
    def _encodings(self, encodings: Sequence[Encoding] | None) -> None:
        self._made = encodings

    @property
    def is_fast(self) -> bool:
        """Whether encodings exist or can be made."""
        return self._source is not None or self._made is not None

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchEncoding, (self.data, self._encodings, None, False, self._n_sequences)
