"""From texts with character spans to model inputs with token spans, and back."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

from hf_ext.data.windows import (
    Window,
    check_gives_offsets,
    check_stride,
    decode_windows,
    encode_windows,
    merge_spans,
    trim,
    window_of,
)

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from numpy import ndarray
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_START, _END = itemgetter(0), itemgetter(1)


class SpanEncoder:
    """Encodes batches of texts with entities for span extraction; a text longer than ``max_length`` gives several rows.

    Call it with a batch ``{"text": [...], "entities": [[{"start", "end", "label"}]]}``, or let :meth:`encode_dataset`
    do so; without ``entities`` there are no labels. The rows hold the tokenizer's model inputs and

    - ``labels``: token spans ``[label, start, end]``, both ends inclusive, of the entities wholly inside the row, white
      space at their ends aside;
    - ``offset_mapping``: ``[start, end]`` of each token in the text, for :func:`decode_spans`;
    - ``example_id``: index of the text, where ``indices`` are given;
    - ``lost_entities``: in the first row of a text, the number of its entities that its labels do not give back when
      windows are merged, because they begin or end inside a token or are longer than the overlap of two windows. They
      count as missed in an evaluation on characters, and a metric on token spans cannot see them.

    Args:
        tokenizer: a fast tokenizer, which gives offsets.
        label2id: id of each label.
        max_length: tokens in a row, special ones included.
        stride: tokens that two windows of a text share, at least the length of the longest entity; None: 64, or a
            quarter of a smaller window.

    Raises:
        ValueError: if the tokenizer is not fast, or ``stride`` leaves no room for new tokens in a window.
    """

    annotations: ClassVar[str] = "entities"
    """Column of what the labels are of."""
    counted: ClassVar[str | None] = None
    """What `lost_entities` counts; None: what is in that column."""
    lost_where: ClassVar[str] = "begin or end inside a token, or fit in no window"
    """What those do that the labels do not give back."""

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        label2id: Mapping[str, int],
        max_length: int = 512,
        stride: int | None = 64,
    ):
        check_gives_offsets(tokenizer)
        room = max_length - tokenizer.num_special_tokens_to_add()
        if stride is None:
            stride = max(0, min(64, room // 4))
        check_stride(stride, room)
        self.tokenizer = tokenizer
        self.label2id = dict(label2id)
        self.max_length = max_length
        self.stride = stride
        # Truncation becomes part of the tokenizer's state; set now, it does not change this object's fingerprint later.
        self._tokenize([""])

    def __call__(
        self, batch: Mapping[str, Sequence[Any]], indices: Sequence[int] | None = None
    ) -> dict[str, list[Any]]:
        """Encode a batch, as ``datasets.Dataset.map(batched=True, with_indices=True)`` passes it.

        Raises:
            ValueError: if an entity's label is not in ``label2id``.
        """
        texts = list(batch["text"])
        columns = self._tokenize(texts)
        owners = columns.pop("overflow_to_sample_mapping")
        if indices is not None:
            columns["example_id"] = [indices[owner] for owner in owners]
        if self.annotations not in batch:
            return columns
        offsets = columns["offset_mapping"]
        labels: list[list[list[int]]] = [[] for _ in owners]
        lost = [0] * len(owners)
        for text, wanted, own in zip(texts, batch[self.annotations], rows_of(owners, len(texts))):
            if not wanted:
                continue
            for row in own:
                located = self.locate(text, wanted, TokenBorders(text, offsets[row]))
                # The same entity twice is one.
                labels[row] = [list(label) for label in dict.fromkeys(map(tuple, located))]
            windows = [window_of(offsets[row], text) for row in own]
            found = self.read_back(text, [labels[row] for row in own], [offsets[row] for row in own], windows)
            given_back = {self.key(text, one) for one in found}
            lost[own[0]] = sum(self.key(text, one) not in given_back for one in wanted)
        return {**columns, "labels": labels, "lost_entities": lost}

    @property
    def features(self) -> "Features":
        """Types of the columns, which a batch without any entity does not show."""
        from datasets import Features, List, Value

        inputs = {name: List(Value("int32")) for name in self.tokenizer.model_input_names}
        pairs = {"offset_mapping": List(List(Value("int32"))), "labels": List(List(Value("int64")))}
        return Features({**inputs, **pairs, "lost_entities": Value("int32"), "example_id": Value("int64")})

    def encode_dataset(self, dataset: "Dataset", num_proc: int | None = None) -> "Dataset":
        """Encode a dataset of ``text`` and ``entities``; lost entities are counted in one logged warning.

        Raises:
            ValueError: if the dataset is empty.
        """
        encoded, lost = encode_windows(self, dataset, self.annotations, "lost_entities", num_proc)
        if lost:
            total, counted = self.count(dataset[self.annotations]), self.counted or self.annotations
            message = "%d of %d %s %s of %d tokens; they are neither learnt nor found"
            logger.warning(message, lost, total, counted, self.lost_where, self.max_length)
        return encoded

    def count(self, annotations: Iterable[Any]) -> int:
        """How much there is, of which some may be lost, in the annotations of several texts."""
        return sum(map(len, annotations))

    def locate(
        self, text: str, annotations: Sequence[Mapping[str, Any]], borders: "TokenBorders"
    ) -> Sequence[Sequence[int]]:
        """The labels of a row.

        Args:
            text: the whole text.
            annotations: what is in it.
            borders: those of the row's tokens.

        Raises:
            ValueError: if a label is not in ``label2id``.
        """
        labels = []
        for entity in annotations:
            label = self.label2id.get(entity["label"])
            if label is None:
                raise ValueError(f"label of an entity must be one of {sorted(self.label2id)}, got {entity['label']!r}")
            if place := borders.tokens(entity):
                labels.append([label, *place])
        return labels

    def read_back(
        self,
        text: str,
        labels: Sequence[Sequence[Sequence[int]]],
        offsets: Sequence[Sequence[Sequence[int]]],
        windows: Sequence[Window],
    ) -> list[dict[str, Any]]:
        """What perfect predictions for a text's rows come to: their labels, windows merged."""
        names = {number: label for label, number in self.label2id.items()}
        rows = [[[*label, 1.0] for label in row] for row in labels]
        return self.merge([self.decode(row, own, names, text) for row, own in zip(rows, offsets)], windows)

    def decode(
        self, row: Sequence[Sequence[float]], offsets: Sequence[Sequence[int]], names: Mapping[int, str], text: str
    ) -> list[dict[str, Any]]:
        """What is in the predictions for a row, as `decode_spans` takes them."""
        return decode_spans(row, offsets, names, text)

    def merge(self, found: list[list[dict[str, Any]]], windows: Sequence[Window]) -> list[dict[str, Any]]:
        """What is in a text, from what is in each of its windows."""
        return merge_spans(found, windows)

    def key(self, text: str, annotation: Mapping[str, Any]) -> Hashable:
        """What two annotations have in common that are the same."""
        return annotation["label"], *trim(text, annotation["start"], annotation["end"])

    def _tokenize(self, texts: list[str]) -> dict[str, Any]:
        encoded = self.tokenizer(
            texts,
            truncation=True,
            max_length=self.max_length,
            stride=self.stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        return dict(encoded)


class TokenBorders:
    """Where the tokens of a row begin and end in its text, white space at their ends aside.

    Args:
        text: what the offsets point into.
        offsets: ``[L, 2]``, the row's ``offset_mapping``.
    """

    def __init__(self, text: str, offsets: Sequence[Sequence[int]]):
        self.text = text
        self._offsets = offsets
        # Special tokens behind the text have no place, and are not in the order of the others.
        self._count = len(offsets)
        while self._count and not offsets[self._count - 1][1]:
            self._count -= 1

    def tokens(self, span: Mapping[str, Any]) -> tuple[int, int] | None:
        """First and last token of a span of characters; None where its borders are none of tokens in this row.

        Tokens smaller than a character share its offsets: a span takes them all.

        Args:
            span: has ``start`` and ``end`` (exclusive); white space at its ends does not count.
        """
        start, end = trim(self.text, span["start"], span["end"])
        # Places are found by halves: rows are long, and most have few spans.
        after = bisect_right(self._offsets, start, hi=self._count, key=_END)
        before = bisect_left(self._offsets, end, hi=self._count, key=_START)
        begins = takewhile(lambda token: self._offsets[token][0] <= start, range(after, self._count))
        ends = takewhile(lambda token: self._offsets[token][1] >= end, range(before - 1, -1, -1))
        first = next((token for token in begins if self._trimmed(token)[0] == start), None)
        last = next((token for token in ends if self._trimmed(token)[1] == end), None)
        return None if first is None or last is None or first > last else (first, last)

    def _trimmed(self, token: int) -> tuple[int, int]:
        return trim(self.text, *self._offsets[token])


def rows_of(owners: Sequence[int], count: int) -> list[list[int]]:
    """The rows of each text, which follow each other, from the text that each row belongs to.

    Args:
        owners: a number of a text for each row.
        count: number of texts.
    """
    rows: list[list[int]] = [[] for _ in range(count)]
    for row, owner in enumerate(owners):
        rows[owner].append(row)
    return rows


def decode_spans(
    predictions: "Sequence[Sequence[float]] | ndarray",
    offsets: Sequence[Sequence[int]],
    id2label: Mapping[int, str],
    text: str,
) -> list[dict[str, Any]]:
    """The character spans of one row's predicted token spans.

    Args:
        predictions: ``[K, 4]`` of (label, first token, last token, score); rows with a negative label are padding.
        offsets: ``[L, 2]``, the row's ``offset_mapping``.
        id2label: label of each id.
        text: the text that the offsets point into.

    Returns:
        Dicts ``{"start", "end", "label", "score", "text"}``, ``end`` exclusive, in the order of the predictions. Spans
        that begin or end on a token without text, such as [CLS], are left out; white space at their ends is cut.

    Raises:
        ValueError: if a span is not within the row's tokens.
    """
    spans = []
    for label, first, last, score in predictions:
        if label < 0:
            continue
        if not 0 <= first <= last < len(offsets):
            raise ValueError(f"a predicted span must lie within the row's {len(offsets)} tokens, got {first, last}")
        left, right = (trim(text, *offsets[int(token)]) for token in (first, last))
        if left[0] < left[1] and right[0] < right[1]:
            start, end = left[0], right[1]
            span = {"start": start, "end": end, "label": id2label[int(label)], "score": float(score)}
            spans.append({**span, "text": text[start:end]})
    return spans


def decode_span_dataset(
    predictions: "Sequence[Any] | ndarray",
    encoded: "Dataset",
    texts: Sequence[str],
    id2label: Mapping[int, str],
) -> list[list[dict[str, Any]]]:
    """The character spans of each text from the predictions for all rows of an encoded dataset, windows merged.

    Args:
        predictions: ``[N, K, 4]``, one entry for each row of ``encoded``: ``trainer.predict(encoded).predictions``, if
            ``train_sampling_strategy`` is not "group_by_length", under which Trainer reorders predictions as well.
        encoded: what :meth:`SpanEncoder.encode_dataset` returned.
        texts: the texts in their order before encoding.
        id2label: label of each id.

    Returns:
        For each text its spans as :func:`decode_spans` gives them, sorted by (start, end, label).

    Raises:
        ValueError: if there is not one prediction for each row.
    """

    def decode(row: Any, offsets: Any, text: str) -> list[dict[str, Any]]:
        return decode_spans(row, offsets, id2label, text)

    return [merge_spans(*pair) for pair in decode_windows(predictions, encoded, texts, decode)]
