"""Where the characters of a text stand when it is set in lines of a given width, in an SVG."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import category, combining, east_asian_width

# What a line is broken at: a word of letters and digits stays whole.
_WORD = re.compile(r"[^\W_㐀-鿿가-힯぀-ヿ]+|.", re.DOTALL)


@dataclass(frozen=True)
class TextLine:
    """A line of a text.

    Attributes:
        start: its first character in the text.
        end: the character after its last.
        edges: where each of its characters begins, and where the last ends, in ems from the left.
    """

    start: int
    end: int
    edges: tuple[float, ...]

    def place(self, position: int) -> float:
        """Where the character at a position of the text begins; of one that is not in the line, its nearer end."""
        return self.edges[min(max(position, self.start), self.end) - self.start]


def character_width(character: str) -> float:
    """About how wide a character is, in ems; what is drawn is stretched to it."""
    if combining(character) or category(character) in ("Cc", "Cf", "Mn", "Me"):
        return 0.0
    return 1.0 if east_asian_width(character) in "WFA" else 0.56


def lines_of(text: str, width: float, together: Iterable[tuple[int, int]] = ()) -> list[TextLine]:
    """Set a text in lines.

    Args:
        text: the text.
        width: of a line, in ems; a character that is wider than that has a line of its own.
        together: pairs of positions, the second exclusive; what is between them is not broken where it fits in a line.

    Returns:
        The lines, at least one; together they have every character, a line's end that is in the text among them.
    """
    glued = {inner for start, end in together for inner in range(start + 1, end)}
    starts = [match.start() for match in _WORD.finditer(text) if match.start() not in glued]
    parts = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)])]
    lines: list[TextLine] = []
    start, edges = 0, [0.0]

    def finish() -> None:
        nonlocal start, edges
        lines.append(TextLine(start, start + len(edges) - 1, tuple(edges)))
        start, edges = lines[-1].end, [0.0]

    for part in parts:
        needed = sum(map(character_width, part))
        if edges[-1] + needed > width and len(edges) > 1:
            finish()
        for character in part:
            own = character_width(character)
            # What is too wide for any line is broken anywhere.
            if edges[-1] + own > width and len(edges) > 1:
                finish()
            edges.append(edges[-1] + own)
            if character == "\n":
                finish()
    if len(edges) > 1 or not lines:
        finish()
    return lines
