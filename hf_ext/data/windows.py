"""What is found in overlapping windows of a long document: which text it belongs to, and merging spans."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy import ndarray


# Examples encoded at a time.
_BATCH = 256

Window = tuple[int, int]
"""First and last (exclusive) character of a window's tokens, white space at its ends aside."""


@dataclass(frozen=True)
class TextWindow:
    """One window of a text, and where its tokens are in the text."""

    text: str
    offsets: Sequence[tuple[int, int]]

    @property
    def bounds(self) -> Window:
        """Where it begins and ends in the text."""
        return window_of(self.offsets, self.text)


def keep_uncut(windows: Sequence[Window]) -> Callable[[int, int, int], bool]:
    """The rule by which what overlapping windows of one text find is kept or dropped.

    Args:
        windows: the windows in their order.

    Returns:
        A function of a window's number, and where something that was found there begins and ends (exclusive). Where
        that touches a border of the window, it may be cut. It is False, drop it, if another window sees the place with
        context on both sides: that window has found the whole, or knows that there is none.

    Raises:
        ValueError: if the windows are not in order.
    """
    if any(start > following for bounds in zip(*windows) for start, following in pairwise(bounds)):
        raise ValueError(f"windows must be in the order of the text, got {list(windows)}")
    starts, ends = [start for start, _ in windows], [end for _, end in windows]

    def keep(number: int, start: int, end: int) -> bool:
        clear = starts[number] < start and end < ends[number]
        # From the first index to before the second, windows see the place clear of their borders. At an end of the text
        # none does, and nothing is cut there.
        return clear or bisect_right(ends, end) >= bisect_left(starts, start)

    return keep


def merge_spans(spans: Sequence[Iterable[Mapping[str, Any]]], windows: Sequence[Window]) -> list[dict[str, Any]]:
    """Merge the spans found in overlapping windows of one text.

    A span that touches a border inside the text may be cut, and is dropped as `keep_uncut` says. The same span found in
    several windows is kept once, with the best ``score``. With an overlap of at least the longest span, none is lost
    or cut.

    Args:
        spans: for each window, mappings with ``start`` and ``end`` (exclusive, offsets into the text), ``label`` and,
            if any, ``score``; other keys are kept.
        windows: the windows in their order.

    Returns:
        The spans sorted by (start, end, label).

    Raises:
        ValueError: if the two arguments differ in length, or the windows are not in order.
    """
    if len(spans) != len(windows):
        raise ValueError(f"spans must have one entry for each of the {len(windows)} windows, got {len(spans)}")
    keep = keep_uncut(windows)
    best: dict[tuple[int, int, str], dict[str, Any]] = {}
    for number, found in enumerate(spans):
        for span in found:
            key = (span["start"], span["end"], span["label"])
            better = key not in best or span.get("score", -inf) > best[key].get("score", -inf)
            if better and keep(number, span["start"], span["end"]):
                best[key] = dict(span)
    return [best[key] for key in sorted(best)]


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Bounds without the white space at the ends, which byte-level tokenizers count to a word."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def window_of(offsets: Sequence[Sequence[int]], text: str | None = None) -> Window:
    """Where a row's tokens begin and end.

    Args:
        offsets: ``[L, 2]``, the row's ``offset_mapping``.
        text: what the offsets point into; None: white space counts as text.
    """
    real = [(start, end) for start, end in offsets if start < end] or [(0, 0)]
    if text is not None:
        # Nothing begins or ends in white space, so a window of nothing else has any bounds.
        written = [(start, end) for start, end in (trim(text, *bounds) for bounds in real) if start < end]
        real = written or real
    return real[0][0], real[-1][1]


def check_gives_offsets(tokenizer: Any) -> None:
    """Raise ValueError if a tokenizer, or None, cannot say where its tokens are in a text."""
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"tokenizer must be a fast one, which gives offsets, got {type(tokenizer).__name__}")


def check_stride(stride: int, room: int) -> None:
    """Raise ValueError if windows that share ``stride`` of ``room`` tokens would have no new ones."""
    if not 0 <= stride < room:
        raise ValueError(f"stride must be at least 0 and less than the {room} tokens of a window, got {stride}")


def encode_windows(
    encoder: Any,
    dataset: "Dataset",
    annotations: str,
    lost: str,
    num_proc: int | None = None,
    more: Sequence[str] = (),
) -> tuple["Dataset", int]:
    """Rows of windows of a dataset of texts, and the sum of the column that counts what is not learnt.

    Args:
        encoder: encodes a batch; its ``features`` are the types of the columns.
        dataset: of texts.
        annotations: its column that labels are made of, which may be missing.
        lost: the column that goes with the labels.
        num_proc: of ``Dataset.map``.
        more: further columns that go with the labels.

    Raises:
        ValueError: if the dataset is empty, or as a call of the encoder.
    """
    if not len(dataset):
        raise ValueError("dataset must have at least one row, got none")
    features = encoder.features
    if annotations not in dataset.column_names:
        absent = {"labels", lost, *more}
        features = type(features)({name: kind for name, kind in features.items() if name not in absent})
    encoded = dataset.map(
        encoder,
        batched=True,
        with_indices=True,
        remove_columns=dataset.column_names,
        features=features,
        num_proc=num_proc,
    )
    return encoded, sum(encoded[lost]) if lost in encoded.column_names else 0


def count_in_rows(
    encoder: Any, examples: Sequence[Mapping[str, Any]], columns: Sequence[str], counted: str
) -> list[int]:
    """What an encoder of windows counts of each example, in the column ``counted`` of its rows.

    Args:
        encoder: encodes a batch.
        examples: with these ``columns``.
        columns: what the encoder takes.
        counted: a column that it gives.
    """
    counts = [0] * len(examples)
    for start in range(0, len(examples), _BATCH):
        own = range(start, min(start + _BATCH, len(examples)))
        rows = encoder({name: [examples[index][name] for index in own] for name in columns}, list(own))
        for index, count in zip(rows["example_id"], rows[counted]):
            counts[index] += count
    return counts


def decode_windows(
    predictions: "Sequence[Any] | ndarray",
    encoded: "Dataset",
    texts: Sequence[str],
    decode: Callable[[Any, Any, str], list[dict[str, Any]]],
) -> list[tuple[list[list[dict[str, Any]]], list[Window]]]:
    """What is found in each window of each text, and the bounds of these windows.

    Args:
        predictions: one entry for each row of ``encoded``, in their order.
        encoded: rows with ``example_id`` and ``offset_mapping``.
        texts: the texts in their order before encoding.
        decode: from the prediction for a row, its offsets and its text.

    Raises:
        ValueError: if there is not one prediction for each row.
    """
    if len(predictions) != len(encoded):
        raise ValueError(f"predictions must have one entry for each of the {len(encoded)} rows, got {len(predictions)}")
    windows: list[tuple[list[list[dict[str, Any]]], list[Window]]] = [([], []) for _ in texts]
    for owner, offsets, row in zip(encoded["example_id"], encoded["offset_mapping"], predictions):
        found, bounds = windows[owner]
        found.append(decode(row, offsets, texts[owner]))
        bounds.append(window_of(offsets, texts[owner]))
    return windows
