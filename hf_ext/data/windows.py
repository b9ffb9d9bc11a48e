"""What is found in overlapping windows of a long document: which text it belongs to, and merging spans."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy import ndarray


def merge_spans(
    spans: Sequence[Iterable[Mapping[str, Any]]], windows: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Merge the spans found in overlapping windows of one text.

    A span that touches a border inside the text may be cut. It is dropped where another window sees its place with
    context on both sides: that window has found the whole span, or knows that there is none. The same span found in
    several windows is kept once, with the best ``score``. With an overlap of at least the longest span, none is lost
    or cut.

    Args:
        spans: for each window, mappings with ``start`` and ``end`` (exclusive, offsets into the text), ``label`` and,
            if any, ``score``; other keys are kept.
        windows: (start, end) of each window as offsets into the text, in their order.

    Returns:
        The spans sorted by (start, end, label).

    Raises:
        ValueError: if the two arguments differ in length, or the windows are not in order.
    """
    if len(spans) != len(windows):
        raise ValueError(f"spans must have one entry for each of the {len(windows)} windows, got {len(spans)}")
    if any(start > following for bounds in zip(*windows) for start, following in pairwise(bounds)):
        raise ValueError(f"windows must be in the order of the text, got {list(windows)}")
    starts, ends = [start for start, _ in windows], [end for _, end in windows]
    best: dict[tuple[int, int, str], dict[str, Any]] = {}
    for found, left, right in zip(spans, starts, ends):
        for span in found:
            start, end = span["start"], span["end"]
            clear = left < start and end < right
            # From the first index to before the second, windows see the place clear of their borders. At an end of the
            # text none does, and nothing is cut there.
            if not clear and bisect_right(ends, end) < bisect_left(starts, start):
                continue
            key = (start, end, span["label"])
            if key not in best or span.get("score", -inf) > best[key].get("score", -inf):
                best[key] = dict(span)
    return [best[key] for key in sorted(best)]


def window_of(offsets: Sequence[Sequence[int]]) -> tuple[int, int]:
    """First and last (exclusive) character of a row's tokens."""
    real = [bounds for bounds in offsets if bounds[0] < bounds[1]] or [(0, 0)]
    return real[0][0], real[-1][1]


def decode_windows(
    predictions: "Sequence[Any] | ndarray",
    encoded: "Dataset",
    texts: Sequence[str],
    decode: Callable[[Any, Any, str], list[dict[str, Any]]],
) -> list[tuple[list[list[dict[str, Any]]], list[tuple[int, int]]]]:
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
    windows: list[tuple[list[list[dict[str, Any]]], list[tuple[int, int]]]] = [([], []) for _ in texts]
    for owner, offsets, row in zip(encoded["example_id"], encoded["offset_mapping"], predictions):
        found, bounds = windows[owner]
        found.append(decode(row, offsets, texts[owner]))
        bounds.append(window_of(offsets))
    return windows
