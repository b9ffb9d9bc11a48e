"""CLUENER: F1 of strings by type, the mean of which is on the leaderboard, and F1 of spans, which papers report."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_ext.metrics.exact_spans import span_scores

TYPES = (
    "address",
    "book",
    "company",
    "game",
    "government",
    "movie",
    "name",
    "organization",
    "position",
    "scene",
)
"""CLUENER's types of entities, in the order of the official script."""

Label = Mapping[str, Mapping[str, Sequence[Sequence[int]]]]
"""What CLUENER calls the label of a text: ``{type: {string: [[first, last], ...]}}``, ``last`` inclusive."""


def cluener_label(text: str, entities: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[list[int]]]]:
    """Entities as CLUENER writes them: ``{type: {string: [[first, last], ...]}}``, sorted by place.

    Args:
        text: which they are in.
        entities: ``{"start", "end", "label"}``, ``end`` exclusive.

    Raises:
        ValueError: if a span is empty or not in the text.
    """
    label: dict[str, dict[str, list[list[int]]]] = {}
    for kind, start, end in sorted({(one["label"], one["start"], one["end"]) for one in entities}, key=_by_place):
        if not 0 <= start < end <= len(text):
            raise ValueError(f"a span must be in its text of {len(text)} characters, got [{start}, {end})")
        label.setdefault(kind, {}).setdefault(text[start:end], []).append([start, end - 1])
    return label


def cluener_scores(
    predictions: Sequence[Label], references: Sequence[Label], types: Sequence[str] = TYPES
) -> dict[str, Any]:
    """The official F1 of CLUENER, and beside it the micro F1 of spans.

    The official script compares, line by line and type by type, the sets of strings: where they stand, and how often,
    does not matter. F1 of a type is of the sums over the lines; the score is the plain mean over the ten types.

    It stops with a division by zero at a type that is never predicted, never true, or never right. Here the F1 of such
    a type is 0, and ``official_stops_at`` names it. Of files of different lengths it scores the first lines of the
    longer, which is refused here. Both ignore types that are not asked for.

    Args:
        predictions: for each text its label as CLUENER writes it, see `cluener_label`.
        references: the true ones, in the same order.
        types: the types to score.

    Returns:
        ``macro_f1_of_strings``, the official score, and ``per_type`` with ``precision``, ``recall``, ``f1``, ``tp``,
        ``fp`` and ``fn`` of each type; ``official_stops_at``, the types at which the official script fails; and
        ``micro_precision_of_spans``, ``micro_recall_of_spans`` and ``micro_f1_of_spans`` of (type, first, last).

    Raises:
        ValueError: if the numbers of texts differ.
    """
    if len(predictions) != len(references):
        raise ValueError(
            f"predictions must be for as many texts as references, {len(references)}, got {len(predictions)}"
        )
    right: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for found, true in zip(predictions, references):
        for kind in types:
            found_strings, true_strings = found.get(kind, {}).keys(), true.get(kind, {}).keys()
            right[kind] += len(found_strings & true_strings)
            predicted[kind] += len(found_strings)
            expected[kind] += len(true_strings)
    per_type = {kind: _ratios(right[kind], predicted[kind], expected[kind]) for kind in types}
    spans = span_scores([list(_spans(one)) for one in predictions], [list(_spans(one)) for one in references], types)
    return {
        "macro_f1_of_strings": sum(scores["f1"] for scores in per_type.values()) / len(types),
        "per_type": per_type,
        "official_stops_at": [kind for kind in types if not right[kind]],
        **{f"micro_{name}_of_spans": spans[name] for name in ("precision", "recall", "f1")},
    }


def _by_place(span: tuple[str, int, int]) -> tuple[int, int, str]:
    kind, start, end = span
    return start, end, kind


def _spans(label: Label) -> Iterable[tuple[str, int, int]]:
    for kind, strings in label.items():
        for places in strings.values():
            for first, last in places:
                yield kind, first, last


def _ratios(right: int, predicted: int, expected: int) -> dict[str, float]:
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / expected if expected else 0.0,
        "f1": 2 * right / (predicted + expected) if predicted + expected else 0.0,
        "tp": right,
        "fp": predicted - right,
        "fn": expected - right,
    }
