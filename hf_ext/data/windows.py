"""Merging the spans found in overlapping windows of a long document."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Any


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
