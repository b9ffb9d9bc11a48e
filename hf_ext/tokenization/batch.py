"""The ids of a batch: special tokens, truncation, padding, and encodings made only when they are asked for."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tokenizers import Encoding, Tokenizer
from transformers import BatchEncoding, TensorType

# An id that no token has, to find where the post-processor puts a text.
_PLACEHOLDER = 2**32 - 1


class Template(NamedTuple):
    """Ids and type ids of the special tokens before, between and after one or two texts."""

    ids: list[list[int]]
    type_ids: list[list[int]]
    text_type_ids: list[int]

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return sum(map(len, self.ids))

    def fill(self, contents: Sequence[list[int]]) -> tuple[list[int], list[int]]:
        """Ids and type ids of a row, for the ids of its one or two texts."""
        row, type_ids = list(self.ids[0]), list(self.type_ids[0])
        for ids, text_type, after, after_types in zip(contents, self.text_type_ids, self.ids[1:], self.type_ids[1:]):
            row += ids
            row += after
            type_ids += [text_type] * len(ids)
            type_ids += after_types
        return row, type_ids


def read_template(tokenizer: Tokenizer, pair: bool, add_special_tokens: bool) -> Template:
    """What the tokenizer's post-processor puts around a text, or around the two of a pair."""
    truncation, padding = tokenizer.truncation, tokenizer.padding
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        texts = [_placeholder(type_id) for type_id in range(2 if pair else 1)]
        encoding = tokenizer.post_process(*texts, add_special_tokens=add_special_tokens)
    finally:
        if truncation is not None:
            tokenizer.enable_truncation(**truncation)
        if padding is not None:
            tokenizer.enable_padding(**padding)
    template = Template([[]], [[]], [])
    for index, type_id in zip(encoding.ids, encoding.type_ids):
        if index == _PLACEHOLDER:
            template.text_type_ids.append(type_id)
            template.ids.append([])
            template.type_ids.append([])
        else:
            template.ids[-1].append(index)
            template.type_ids[-1].append(type_id)
    return template


def _placeholder(type_id: int) -> Encoding:
    encoding = Encoding()
    encoding.__setstate__(
        f'{{"ids":[{_PLACEHOLDER}],"type_ids":[{type_id}],"tokens":[""],"words":[0],"offsets":[[0,0]],"special_tokens_mask":[0],'
        f'"attention_mask":[1],"overflowing":[],"sequence_ranges":{{}}}}'.encode()
    )
    return encoding


def truncated_lengths(lengths: Sequence[int], limit: int, strategy: str) -> Sequence[int] | None:
    """Lengths of one or two texts cut to ``limit`` tokens together; None if the strategy cannot reach it.

    Args:
        lengths: tokens of the one text or the two.
        limit: tokens they may have together.
        strategy: ``longest_first``, ``only_first`` or ``only_second``.
    """
    excess = sum(lengths) - limit
    if limit <= 0 or (strategy == "only_second" and len(lengths) == 1):
        return None
    if excess <= 0:
        return lengths
    if strategy == "longest_first" and len(lengths) == 2:
        shorter = min(lengths)
        longer = max(shorter, limit - shorter)
        if shorter + longer > limit:
            shorter = limit // 2
            longer = shorter + limit % 2
        return (longer, shorter) if lengths[0] > lengths[1] else (shorter, longer)
    cut = int(strategy == "only_second")
    if lengths[cut] <= excess:
        return None
    return [length - excess * (index == cut) for index, length in enumerate(lengths)]


def pad_rows(rows: list[list[int]], length: int, multiple: int | None, fill: int, left: bool) -> list[list[int]]:
    """The rows filled up to ``length`` rounded up to a multiple; longer ones stay as they are."""
    if multiple:
        length = -(-length // multiple) * multiple
    if left:
        return [[fill] * (length - len(row)) + row for row in rows]
    return [row + [fill] * (length - len(row)) for row in rows]


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
