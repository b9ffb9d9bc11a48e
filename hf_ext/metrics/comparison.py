"""What a model finds in a text beside what is true, item by item: right, labelled or cut wrong, missed, invented."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Span = tuple[str, int, int]
"""A part of an item (``""`` of one that has no parts), and where it begins and ends (exclusive)."""

KINDS = {
    "right": "right",
    "label": "labelled wrong",
    "cut": "cut wrong",
    "both": "cut and labelled wrong",
    "missed": "missed",
    "invented": "invented",
}
"""What may become of an item, and how a page says it."""


@dataclass(frozen=True)
class Item:
    """Something that is labelled in a text.

    Attributes:
        label: what scores count it under.
        place: what has to be the same, beside its name, for what is found to be right.
        surface: how it stands in the text; blank if it has no place there.
        spans: its parts in the text; those of an item that is cut wrong overlap with the true ones each.
        more_spans: further parts, which are shown only.
        role: of the item under its label, if it has one.
        score: of the model.
    """

    label: str
    place: Hashable = ()
    surface: str = ""
    spans: tuple[Span, ...] = ()
    more_spans: tuple[Span, ...] = ()
    role: str = ""
    score: float | None = None

    @property
    def name(self) -> str:
        """What is told apart at a place: the label, with the role."""
        return f"{self.label}|{self.role}" if self.role else self.label


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes:
        kind: one of `KINDS`.
        true: the item; None if it is invented.
        found: what was found in its stead; None if it is missed.
    """

    kind: str
    true: Item | None
    found: Item | None


@dataclass(frozen=True)
class Comparison:
    """An example with what is true of it and what a model says.

    Attributes:
        parts: its texts by name; spans of items lie in the last.
        outcomes: of the items, if it has any.
        true: what should have been said, where that is a text or a number.
        found: what was said.
        measures: scores of the example by name: a sum, and the number of things that it is of. Those of a file are the
            quotients of the sums over its examples.
        badness: how wrong it is, to put the worst first; None: the number of items that are not right.
    """

    parts: Mapping[str, str]
    outcomes: Sequence[Outcome] = ()
    true: str | None = None
    found: str | None = None
    measures: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    badness: float | None = None

    @property
    def wrong(self) -> int:
        """Number of items that are not right."""
        return sum(outcome.kind != "right" for outcome in self.outcomes)


def pair_items(true: Iterable[Item], found: Iterable[Item]) -> list[Outcome]:
    """Say of each item of a text what became of it, in the order of the text.

    Each item is in one outcome. First come those that are right; then pairs at one place with different names, which
    are labelled wrong, rather those of one label in other roles; then pairs that overlap, those of one name first and
    the most alike before others, which are cut wrong; what is left is missed or invented. So right, labelled wrong, cut
    wrong, both and missed add up to the true items, and with invented for missed to those found. The same item twice
    counts once.
    """
    waiting, offered = _distinct(true), _distinct(found)
    outcomes = []

    def pair(kind: str, one: tuple[str, Hashable], other: tuple[str, Hashable]) -> None:
        outcomes.append(Outcome(kind, waiting.pop(one), offered.pop(other)))

    for key in [key for key in waiting if key in offered]:
        pair("right", key, key)
    places: dict[Hashable, list[tuple[str, Hashable]]] = {}
    for key in offered:
        places.setdefault(key[1], []).append(key)
    for key in list(waiting):
        if same := places.get(key[1]):
            # Of several those that differ in the role alone.
            other = next((one for one in same if offered[one].label == waiting[key].label), same[0])
            same.remove(other)
            pair("label", key, other)
    likeness = [
        (one[0] != other[0], -shared, number, one, other)
        for number, (one, item) in enumerate(waiting.items())
        for other, candidate in offered.items()
        if (shared := overlap(item, candidate))
    ]
    for renamed, _, _, one, other in sorted(likeness, key=lambda entry: entry[:3]):
        if one in waiting and other in offered:
            pair("both" if renamed else "cut", one, other)
    outcomes += [Outcome("missed", item, None) for item in waiting.values()]
    outcomes += [Outcome("invented", None, item) for item in offered.values()]
    return sorted(outcomes, key=_order)


def overlap(one: Item, other: Item) -> float:
    """Characters that the parts of two items share, over those that they have; 0 if a part shares none."""
    places = {part: (start, end) for part, start, end in other.spans}
    if not one.spans or places.keys() != {part for part, _, _ in one.spans}:
        return 0.0
    shared = total = 0
    for part, start, end in one.spans:
        first, last = places[part]
        common = min(end, last) - max(start, first)
        if common <= 0:
            return 0.0
        shared, total = shared + common, total + max(end, last) - min(start, first)
    return shared / total


def _distinct(items: Iterable[Item]) -> dict[tuple[str, Hashable], Item]:
    distinct: dict[tuple[str, Hashable], Item] = {}
    for item in items:
        distinct.setdefault((item.name, item.place), item)
    return distinct


def _order(outcome: Outcome) -> tuple[list[tuple[int, int]], int]:
    item = outcome.true or outcome.found
    assert item is not None
    return [(start, end) for _, start, end in item.spans], list(KINDS).index(outcome.kind)
