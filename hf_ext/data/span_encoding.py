"""From texts with character spans to model inputs with token spans, and back."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hf_ext.data.windows import decode_windows, merge_spans

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from numpy import ndarray
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


class SpanEncoder:
    """Encodes batches of texts with entities for span extraction; a text longer than ``max_length`` gives several rows.

    Call it with a batch ``{"text": [...], "entities": [[{"start", "end", "label"}]]}``, or let :meth:`encode_dataset`
    do so. The rows hold the tokenizer's model inputs and

    - ``labels``: token spans ``[label, start, end]``, both ends inclusive, of the entities wholly inside the row;
    - ``offset_mapping``: ``[start, end]`` of each token in the text, for :func:`decode_spans`;
    - ``example_id``: index of the text, where ``indices`` are given;
    - ``lost_entities``: in the first row of a text, the number of its entities that no row can hold, because they begin
      or end inside a token or are longer than the overlap of two windows. They count as missed in an evaluation
      on characters, and a metric on token spans cannot see them.

    Args:
        tokenizer: a fast tokenizer, which gives offsets.
        label2id: id of each label.
        max_length: tokens in a row, special ones included.
        stride: tokens that two windows of a text share, at least the length of the longest entity.

    Raises:
        ValueError: if the tokenizer is not fast, or ``stride`` leaves no room for new tokens in a window.
    """

    annotations: ClassVar[str] = "entities"
    """Column of what `_locate` finds in a row."""
    lost_where: ClassVar[str] = "begin or end inside a token, or fit in no window"
    """What those do that `_locate` finds in no row."""

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        label2id: Mapping[str, int],
        max_length: int = 512,
        stride: int = 64,
    ):
        if not tokenizer.is_fast:
            raise ValueError(f"tokenizer must be a fast one, which gives offsets, got {type(tokenizer).__name__}")
        room = max_length - tokenizer.num_special_tokens_to_add()
        if not 0 <= stride < room:
            raise ValueError(f"stride must be at least 0 and less than the {room} tokens of a window, got {stride}")
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
        encoded = self._tokenize(texts)
        owners = encoded.pop("overflow_to_sample_mapping")
        labels: list[list[list[int]]] = [[] for _ in owners]
        lost = [0] * len(owners)
        # A text's rows follow each other, the first one first.
        rows: list[list[int]] = [[] for _ in texts]
        for row, owner in enumerate(owners):
            rows[owner].append(row)
        for text, entities, own in zip(texts, batch[self.annotations], rows):
            found: set[int] = set()
            for row in own if entities else ():
                for number, span in self._locate(text, entities, encoded["offset_mapping"][row]):
                    labels[row].append(span)
                    found.add(number)
            lost[own[0]] = len(entities) - len(found)
        columns = {**encoded, "labels": labels, "lost_entities": lost}
        if indices is not None:
            columns["example_id"] = [indices[owner] for owner in owners]
        return columns

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
        if not len(dataset):
            raise ValueError("dataset must have at least one row, got none")
        encoded = dataset.map(
            self,
            batched=True,
            with_indices=True,
            remove_columns=dataset.column_names,
            features=self.features,
            num_proc=num_proc,
        )
        lost = sum(encoded["lost_entities"])
        if lost:
            total = sum(map(len, dataset[self.annotations]))
            message = "%d of %d %s %s of %d tokens; they are not learnt"
            logger.warning(message, lost, total, self.annotations, self.lost_where, self.max_length)
        return encoded

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

    def _locate(
        self, text: str, entities: Sequence[Mapping[str, Any]], offsets: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[int, list[int]]]:
        """Number and token span of each entity whose borders are borders of tokens."""
        firsts, lasts = token_borders(text, offsets)
        for number, entity in enumerate(entities):
            label = self.label2id.get(entity["label"])
            if label is None:
                raise ValueError(f"label of an entity must be one of {sorted(self.label2id)}, got {entity['label']!r}")
            first, last = firsts.get(entity["start"]), lasts.get(entity["end"])
            if first is not None and last is not None and first <= last:
                yield number, [label, first, last]


def token_borders(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[dict[int, int], dict[int, int]]:
    """The first token at each character where one begins, and the last token at each (exclusive) where one ends."""
    firsts: dict[int, int] = {}
    lasts: dict[int, int] = {}
    for token, (start, end) in enumerate(offsets):
        start, end = _trim(text, start, end)
        if start < end:
            # Tokens smaller than a character share its offsets: a span takes them all.
            firsts.setdefault(start, token)
            lasts[end] = token
    return firsts, lasts


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
        left, right = (_trim(text, *offsets[int(token)]) for token in (first, last))
        if left[0] < left[1] and right[0] < right[1]:
            start, end = left[0], right[1]
            span = {"start": start, "end": end, "label": id2label[int(label)], "score": float(score)}
            spans.append({**span, "text": text[start:end]})
    return spans


def decode_dataset(
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


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Bounds without the white space at the ends, which byte-level tokenizers count to a word."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
