"""Relations as arcs over their text, as SVG."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

from hf_ext.tasks.entities.page import label_hues
from hf_ext.web.text_layout import TextLine, character_width, lines_of

MOST_ARCS = 60
"""Relations that are drawn; beyond, nobody could tell them apart."""

# In units of the SVG, which are pixels where there is room: a character, the name of a relation, and a row of arcs.
_EM, _NAME, _LEVEL = 18.0, 12.0, 22.0
_WIDTH, _MARGIN, _BELOW = 30.0, 12.0, 16.0


@dataclass(frozen=True)
class Link:
    """An arc to draw: from one place of the text to another, positions of characters, ends exclusive."""

    name: str
    source: tuple[int, int]
    target: tuple[int, int]
    title: str
    is_slot: bool = False


@dataclass(frozen=True)
class _Piece:
    """What of an arc stands over one line: a bar from left to right, and legs at those of its ends that are the arc's.

    Attributes:
        legs: whether there is one at the left, and one at the right.
        arrow: which leg has the arrow: 0, 1, or None.
        room: what it takes from left to right, its name included.
    """

    link: Link
    left: float
    right: float
    legs: tuple[bool, bool]
    arrow: int | None
    room: tuple[float, float]
    middle: float


def relation_arcs(text: str, relations: Sequence[Mapping[str, Any]]) -> Markup:
    """A text with its relations as arcs from subject to object, and the slots of an object as arcs from it.

    Args:
        text: the text.
        relations: mappings with ``predicate``, ``subject``, ``object``, ``slots`` and ``score``, as the pipelines give
            them; the first `MOST_ARCS` are drawn.

    Returns:
        An ``svg`` element, everything in it escaped.
    """
    links = list(dict.fromkeys(link for relation in relations[:MOST_ARCS] for link in _links(relation)))
    spans = sorted({span for link in links for span in (link.source, link.target)})
    lines = lines_of(text, _WIDTH, spans)
    hues = label_hues(link.name for link in links)
    pieces = _pieces(links, lines)
    drawn: list[str] = []
    below = 0.0
    for number, line in enumerate(lines):
        levels = _levels(pieces[number])
        base = below + _LEVEL * (max(levels, default=-1) + 1) + _EM * 1.25 + 6
        drawn += (_drawn(piece, level, base - _EM - 4, hues) for piece, level in zip(pieces[number], levels))
        drawn += _boxes(line, spans, base)
        drawn += _runs(text, line, spans, base)
        below = base + _BELOW
    width = _WIDTH * _EM + 2 * _MARGIN
    names = ", ".join(f"{link.title}" for link in links)
    return Markup(
        f'<svg class="hx-arcs" viewBox="0 0 {width:.0f} {below:.0f}" width="{width:.0f}" role="img" '
        f'aria-label="{escape(names)}">{"".join(drawn)}</svg>'
    )


def _links(relation: Mapping[str, Any]) -> Iterable[Link]:
    def place(one: Mapping[str, Any]) -> tuple[int, int]:
        return one["start"], one["end"]

    subject, thing = relation["subject"], relation["object"]
    title = f"{subject['text']} – {relation['predicate']} – {thing['text']}"
    yield Link(str(relation["predicate"]), place(subject), place(thing), title)
    for slot in relation.get("slots", ()):
        yield Link(str(slot["name"]), place(thing), place(slot), f"{title} – {slot['name']} – {slot['text']}", True)


def _pieces(links: Sequence[Link], lines: Sequence[TextLine]) -> dict[int, list[_Piece]]:
    """What stands over each line, by its number."""
    ends = _feet(links, lines)
    pieces: dict[int, list[_Piece]] = defaultdict(list)
    for link in links:
        (first, left), (last, right) = sorted((ends[link, 0], ends[link, 1]))
        turned = ends[link, 0] > ends[link, 1]
        for number in range(first, last + 1):
            legs = number == first, number == last
            begin = left if legs[0] else 0.0
            stop = right if legs[1] else _WIDTH * _EM + 2 * _MARGIN
            target = 0 if turned else 1
            # A name would stand over what is between, for which the arc only passes.
            named = any(legs)
            half = _width(link.name) / 2 + 4 if named else 0.0
            middle = min(max((begin + stop) / 2, half), max(_WIDTH * _EM + 2 * _MARGIN - half, half))
            room = min(begin, middle - half), max(stop, middle + half)
            arrow = target if legs[target] else None
            pieces[number].append(_Piece(link, begin, stop, legs, arrow, room, middle))
    return pieces


def _feet(links: Sequence[Link], lines: Sequence[TextLine]) -> dict[tuple[Link, int], tuple[int, float]]:
    """For the source (0) and the target (1) of each link, the line and where in it the leg stands.

    Legs over one place stand side by side, those that go to the left on the left.
    """
    wanted: dict[tuple[int, int], list[tuple[int, Link, int]]] = defaultdict(list)
    for link in links:
        wanted[link.source].append((link.target[0], link, 0))
        wanted[link.target].append((link.source[0], link, 1))
    feet = {}
    for (start, end), legs in wanted.items():
        number = next((n for n, line in enumerate(lines) if start < line.end), len(lines) - 1)
        left, right = (_MARGIN + _EM * lines[number].place(place) for place in (start, end))
        step = min(9.0, (right - left) / len(legs))
        for rank, (_, link, which) in enumerate(sorted(legs, key=lambda leg: leg[0])):
            feet[link, which] = number, (left + right) / 2 + (rank - (len(legs) - 1) / 2) * step
    return feet


def _levels(pieces: Sequence[_Piece]) -> list[int]:
    """How high each is above the line, so that none stands in the room of another: short ones lowest."""
    taken: list[list[tuple[float, float]]] = []
    levels = [0] * len(pieces)
    for number in sorted(range(len(pieces)), key=lambda one: pieces[one].right - pieces[one].left):
        left, right = pieces[number].room
        level = next(
            (n for n, row in enumerate(taken) if all(right < other[0] or left > other[1] for other in row)), len(taken)
        )
        if level == len(taken):
            taken.append([])
        taken[level].append((left, right))
        levels[number] = level
    return levels


def _drawn(piece: _Piece, level: int, foot: float, hues: Mapping[str, int]) -> str:
    """An arc whose legs end at the height ``foot``."""
    left, right, top = piece.left, piece.right, foot - _LEVEL * (level + 1) + 8
    bend = min(7.0, (right - left) / 2)
    path = f"M{left:.1f} {foot:.1f}V{top + bend:.1f}q0 {-bend:.1f} {bend:.1f} {-bend:.1f}"
    path = path if piece.legs[0] else f"M{left:.1f} {top:.1f}"
    path += f"H{right - bend:.1f}q{bend:.1f} 0 {bend:.1f} {bend:.1f}V{foot:.1f}" if piece.legs[1] else f"H{right:.1f}"
    parts = [f'<path class="arc" d="{path}"/>']
    if piece.arrow is not None:
        x = (left, right)[piece.arrow]
        parts.append(f'<path class="head" d="M{x - 4:.1f} {foot - 7:.1f}h8l-4 8z"/>')
    if any(piece.legs):
        name = escape(piece.link.name)
        parts.append(f'<text class="name" x="{piece.middle:.1f}" y="{top + 4:.1f}">{name}</text>')
    kind = "link slot" if piece.link.is_slot else "link"
    title = escape(piece.link.title)
    return f'<g class="{kind}" style="--hue: {hues[piece.link.name]}"><title>{title}</title>{"".join(parts)}</g>'


def _boxes(line: TextLine, spans: Iterable[tuple[int, int]], base: float) -> Iterable[str]:
    """What stands behind the subjects and objects in a line."""
    for start, end in spans:
        if start < line.end and end > line.start:
            left, right = _MARGIN + _EM * line.place(start), _MARGIN + _EM * line.place(end)
            height = _EM * 1.35
            yield (
                f'<rect class="place" x="{left - 1:.1f}" y="{base - _EM:.1f}" width="{right - left + 2:.1f}" '
                f'height="{height:.1f}" rx="4"/>'
            )


def _runs(text: str, line: TextLine, spans: Iterable[tuple[int, int]], base: float) -> Iterable[str]:
    """The text of a line, each part stretched to the width that it was given."""
    cuts = {line.start, line.end, *(end for span in spans for end in span if line.start < end < line.end)}
    borders = sorted(cuts)
    for start, end in pairwise(borders):
        left, right = line.place(start), line.place(end)
        shown = text[start:end].translate({10: None, 13: None, 9: " "})
        if right > left and shown.strip():
            yield (
                f'<text class="words" x="{_MARGIN + _EM * left:.1f}" y="{base:.1f}" '
                f'textLength="{_EM * (right - left):.1f}">{escape(shown)}</text>'
            )


def _width(name: str) -> float:
    return _NAME * sum(map(character_width, name))
