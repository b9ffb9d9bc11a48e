"""From texts with character spans to model inputs with a tag a token, and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hf_ext.data.span_encoding import SpanEncoder, TokenBorders, decode_spans
from hf_ext.data.tag_schemes import spans_to_tags, tags_of_labels, tags_to_spans
from hf_ext.ops.tag_rules import split_tag

if TYPE_CHECKING:
    from datasets import Features
    from transformers import PreTrainedTokenizerBase


class TagEncoder(SpanEncoder):
    """Encodes batches of texts with entities for sequence labelling; see `SpanEncoder` for rows and windows.

    ``labels`` are tag ids ``[L]``, -100 at tokens without text such as [CLS]. Tags cannot nest: of entities of a row
    that overlap in tokens the longest is kept. The others count as lost, unless another row that may tell of them, see
    `merge_spans`, holds them without the longer one.

    Args:
        tokenizer: a fast tokenizer, which gives offsets.
        labels: the labels of entities.
        scheme: of tags: "BIO", "BMES" or "BIOES".
        max_length: tokens in a row, special ones included.
        stride: tokens that two windows of a text share, at least the length of the longest entity; None: 64, or a
            quarter of a smaller window.
        tags: all tags, in the order of their ids; None: those of :func:`~hf_ext.data.tags_of_labels`.

    Attributes:
        tags: all tags; their places are their ids.
    """

    lost_where: ClassVar[str] = "overlap a longer one, begin or end inside a token, or fit in no window"

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        labels: Sequence[str],
        scheme: str = "BIO",
        max_length: int = 512,
        stride: int | None = 64,
        tags: Sequence[str] | None = None,
    ):
        super().__init__(tokenizer, {label: number for number, label in enumerate(labels)}, max_length, stride)
        self.names = list(labels)
        self.scheme = scheme
        self.tags = tags_of_labels(labels, scheme) if tags is None else list(tags)

    def __call__(
        self, batch: Mapping[str, Sequence[Any]], indices: Sequence[int] | None = None
    ) -> dict[str, list[Any]]:
        """Encode a batch; see `SpanEncoder.__call__`."""
        columns = super().__call__(batch, indices)
        if "labels" not in columns:
            return columns
        ids = {tag: number for number, tag in enumerate(self.tags)}
        labels = []
        for spans, offsets in zip(columns["labels"], columns["offset_mapping"]):
            names = [(self.names[label], first, last) for label, first, last in spans]
            tags = spans_to_tags(names, len(offsets), self.scheme)
            labels.append([ids[tag] if start < end else -100 for tag, (start, end) in zip(tags, offsets)])
        columns["labels"] = labels
        return columns

    @property
    def features(self) -> "Features":
        """Types of the columns."""
        from datasets import Features, List, Value

        return Features({**super().features, "labels": List(Value("int64"))})

    def locate(
        self, text: str, annotations: Sequence[Mapping[str, Any]], borders: TokenBorders
    ) -> Sequence[Sequence[int]]:
        """The token spans of a row that overlap no longer one there, in their order."""
        kept: list[Sequence[int]] = []
        located = super().locate(text, annotations, borders)
        for span in sorted(located, key=lambda one: (one[1] - one[2], one[1])):
            if all(span[2] < other[1] or other[2] < span[1] for other in kept):
                kept.append(span)
        return sorted(kept, key=lambda one: one[1])


def tags_of_text(tags: Iterable[int], offsets: Iterable[Sequence[int]]) -> list[int]:
    """The tags ``[L]`` of a row, -100 at tokens without text, such as [CLS], which no span may reach into.

    Args:
        tags: ids, of which those of padding may follow.
        offsets: ``[L, 2]``, the row's ``offset_mapping``.
    """
    return [int(tag) if start < end else -100 for tag, (start, end) in zip(tags, offsets)]


def tags_to_predictions(
    tags: Sequence[int], id2label: Mapping[int, str], label2id: Mapping[str, int], scores: Sequence[float] | None = None
) -> list[list[float]]:
    """Token spans ``[S, 4]`` of (label, first, last, score) as :func:`hf_ext.data.decode_spans` reads them.

    Args:
        tags: ids ``[L]``, negative where a token has none; such tokens belong to no span and end none.
        id2label: tag of each id.
        label2id: number of each label of entities.
        scores: of each token ``[L]``; a span has the least of its tokens'. None: 1.
    """
    places = [place for place, tag in enumerate(tags) if tag >= 0]
    spans = []
    for label, first, last in tags_to_spans([id2label[int(tags[place])] for place in places]):
        score = 1.0 if scores is None else min(scores[place] for place in places[first : last + 1])
        spans.append([label2id[label], places[first], places[last], score])
    return spans


def spans_of_tags(
    tags: Sequence[int],
    scores: Sequence[float],
    offsets: Sequence[Sequence[int]],
    text: str,
    id2label: Mapping[int, str],
    threshold: float = 0.0,
) -> list[dict[str, Any]]:
    """The character spans of one row's tags.

    Args:
        tags: ``[L]``, a tag id a token, -100 where it has none.
        scores: ``[L]``, how sure each is.
        offsets: ``[L, 2]``, the row's ``offset_mapping``.
        text: the text that the offsets point into.
        id2label: the tag of each id.
        threshold: spans with a lower score, or this one, are left out.

    Returns:
        Dicts as of :func:`hf_ext.data.decode_spans`, whose ``score`` is the least of their tokens'.
    """
    labels = sorted({split_tag(tag)[1] for tag in id2label.values()} - {""})
    places = {label: place for place, label in enumerate(labels)}
    spans = tags_to_predictions(tags_of_text(tags, offsets), id2label, places, scores)
    return [one for one in decode_spans(spans, offsets, dict(enumerate(labels)), text) if one["score"] > threshold]
