"""The error report of a file: what became of its items by label, length and surface, and its examples, worst first."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import isfinite
from typing import Any

from hf_ext.metrics.comparison import KINDS, Comparison, Item, Outcome

# Characters at which a class of lengths begins.
_TEXT_LENGTHS = (0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_ITEM_LENGTHS = (1, 2, 3, 4, 5, 7, 11, 21, 51, 101)
_SEEN, _RELABELLED, _UNSEEN = "seen in training", "seen with other labels only", "not seen in training"


def error_report(
    comparisons: Sequence[Comparison],
    scores: Mapping[str, Any],
    training: Iterable[Iterable[Item]] | None = None,
    **about: str,
) -> dict[str, Any]:
    """What went wrong in a file, as JSON has it.

    A group of items has ``true`` and ``found``, how many there are; ``right`` and the other kinds of
    :data:`hf_ext.metrics.comparison.KINDS`; and ``precision``, ``recall`` and ``f1`` as in
    :func:`hf_ext.metrics.span_scores`. What is cut or labelled wrong counts with the true item. Examples with measures
    have ``measures``, their means, instead of the three.

    Args:
        comparisons: of the examples in the order of the file.
        scores: those of the whole file.
        training: the items of the training examples, by which surfaces are told that were seen there; None: not known.
        **about: what the report is of, as ``task`` and ``file``.

    Returns:
        ``about``, ``scores``, ``number`` of examples and of those ``wrong``; ``layout``, how examples can be shown:
        "marks" in the text, "items" in rows, or "texts"; ``total`` over all items; ``labels``, ``lengths`` (of texts),
        ``item_lengths`` and ``surfaces``, each by the name of the group; ``confusions`` ``[{"true", "found",
        "number"}]``, most frequent first; and ``examples``, the worst first. Numbers that JSON does not know are None.
    """
    known = None if training is None else _names_by_surface(training)
    total, labels, lengths = _Group(), _Groups(), _Groups()
    item_lengths, surfaces = _Groups(), _Groups()
    confusions: Counter[tuple[str, str]] = Counter()
    for comparison in comparisons:
        outcomes = comparison.outcomes
        total.add(outcomes, comparison.measures)
        lengths.add_all(_length(sum(map(len, comparison.parts.values())), _TEXT_LENGTHS), comparison)
        labels.add_each(outcomes, lambda item: item.label)
        if any(item.surface for one in outcomes for item in (one.true, one.found) if item):
            item_lengths.add_each(outcomes, lambda item: _length(len(item.surface), _ITEM_LENGTHS))
            if known is not None:
                surfaces.add_each(outcomes, lambda item: _seen(item, known))
        confusions.update(
            (one.true.name, one.found.name)
            for one in outcomes
            if one.kind in ("label", "both") and one.true and one.found
        )
    numbered = sorted(enumerate(comparisons, start=1), key=lambda pair: (-_badness(pair[1]), pair[0]))
    frequent = sorted(labels, key=lambda name: (-labels[name].true, -labels[name].found, name))
    return {
        "about": about,
        "scores": _json_scores(scores),
        "number": len(comparisons),
        "wrong": sum(comparison.wrong > 0 for comparison in comparisons),
        "layout": _layout(comparisons),
        "total": total.summary(),
        "labels": {name: labels[name].summary() for name in frequent},
        "lengths": lengths.in_order(_names_of_lengths(_TEXT_LENGTHS)),
        "item_lengths": item_lengths.in_order(_names_of_lengths(_ITEM_LENGTHS)),
        "surfaces": surfaces.in_order((_SEEN, _RELABELLED, _UNSEEN)),
        "confusions": [
            {"true": true, "found": found, "number": number}
            for (true, found), number in sorted(confusions.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
        "examples": [_example(number, comparison) for number, comparison in numbered],
    }


class _Group:
    """Counts over some items or examples."""

    def __init__(self) -> None:
        self.texts = self.true = self.found = self.found_right = 0
        self.kinds: Counter[str] = Counter()
        self.sums: dict[str, tuple[float, float]] = {}

    def add(self, outcomes: Iterable[Outcome], measures: Mapping[str, tuple[float, float]]) -> None:
        """Count an example."""
        self.texts += 1
        for one in outcomes:
            self.add_item(one, one.true, one.found)
        for name, (value, number) in measures.items():
            before = self.sums.get(name, (0.0, 0.0))
            self.sums[name] = before[0] + value, before[1] + number

    def add_item(self, outcome: Outcome, true: Item | None, found: Item | None) -> None:
        """Count an outcome, with the sides of it that belong to the group."""
        self.true += true is not None
        self.found += found is not None
        self.found_right += found is not None and outcome.kind == "right"
        if true is not None or outcome.kind == "invented":
            self.kinds[outcome.kind] += 1

    def summary(self) -> dict[str, Any]:
        """As `error_report` says."""
        counts: dict[str, Any] = {"texts": self.texts} if self.texts else {}
        right, both = self.kinds["right"], self.true + self.found
        if both:
            counts |= {"true": self.true, "found": self.found, **{kind: self.kinds[kind] for kind in KINDS}}
        if self.sums:
            return counts | {"measures": _means(self.sums)}
        return counts | {
            "precision": self.found_right / self.found if self.found else 0.0,
            "recall": right / self.true if self.true else 0.0,
            "f1": (right + self.found_right) / both if both else 0.0,
        }


class _Groups(dict[str, _Group]):
    """Groups by name, made as they are needed."""

    def __missing__(self, name: str) -> _Group:
        self[name] = _Group()
        return self[name]

    def add_all(self, name: str, comparison: Comparison) -> None:
        """Count an example in the group of a name."""
        self[name].add(comparison.outcomes, comparison.measures)

    def add_each(self, outcomes: Iterable[Outcome], name_of: Any) -> None:
        """Count each side of outcomes in its own group."""
        for one in outcomes:
            sides = {} if one.true is None else {name_of(one.true): [one.true, None]}
            if one.found is not None:
                sides.setdefault(name_of(one.found), [None, None])[1] = one.found
            for name, (true, found) in sides.items():
                self[name].add_item(one, true, found)

    def in_order(self, names: Iterable[str]) -> dict[str, Any]:
        """Summaries by name, of the groups that there are."""
        return {name: self[name].summary() for name in names if name in self}


def _layout(comparisons: Iterable[Comparison]) -> str:
    outcomes = (one for comparison in comparisons for one in comparison.outcomes)
    layout = "texts"
    for item in (item for one in outcomes for item in (one.true, one.found) if item):
        if item.role or [part for part, _, _ in item.spans] not in ([], [""]):
            return "items"
        layout = "marks" if item.spans or layout == "marks" else "items"
    return layout


def _names_by_surface(training: Iterable[Iterable[Item]]) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for item in (item for items in training for item in items if item.surface):
        known.setdefault(item.surface, set()).add(item.name)
    return known


def _seen(item: Item, known: Mapping[str, Collection[str]]) -> str:
    names = known.get(item.surface, ())
    return _SEEN if item.name in names else _RELABELLED if names else _UNSEEN


def _length(length: int, starts: tuple[int, ...]) -> str:
    return _names_of_lengths(starts)[max(0, bisect_right(starts, length) - 1)]


@cache
def _names_of_lengths(starts: tuple[int, ...]) -> list[str]:
    ends = [f"-{end - 1}" if end - 1 > start else "" for start, end in pairwise(starts)]
    return [f"{start}{end}" for start, end in zip(starts, [*ends, " or more"])]


def _badness(comparison: Comparison) -> float:
    badness = comparison.wrong if comparison.badness is None else comparison.badness
    # What cannot be told is looked at first.
    return badness if badness == badness else float("inf")


def _means(sums: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    return _json_scores({name: value / number for name, (value, number) in sums.items() if number})


def _example(number: int, comparison: Comparison) -> dict[str, Any]:
    entry: dict[str, Any] = {"number": number, "wrong": comparison.wrong, "parts": dict(comparison.parts)}
    if comparison.outcomes:
        entry["items"] = [
            {"kind": one.kind, "true": _item(one.true), "found": _item(one.found)} for one in comparison.outcomes
        ]
    if comparison.true is not None or comparison.found is not None:
        entry |= {"true": comparison.true, "found": comparison.found}
    measures = _means(comparison.measures)
    return entry | ({"measures": measures} if measures else {})


def _item(item: Item | None) -> dict[str, Any] | None:
    if item is None:
        return None
    entry: dict[str, Any] = {"label": item.label}
    if item.role:
        entry["role"] = item.role
    if item.surface:
        entry["text"] = item.surface
    spans = [{"part": part, "start": start, "end": end} for part, start, end in (*item.spans, *item.more_spans)]
    if spans:
        entry["spans"] = spans
    return entry if item.score is None else {**entry, "score": round(item.score, 4)}


def _json_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores, of which some may be by the name of a group, without the numbers that JSON does not know."""
    return {
        str(name): _json_scores(value)
        if isinstance(value, Mapping)
        else None
        if isinstance(value, float) and not isfinite(value)
        else value
        for name, value in scores.items()
    }
