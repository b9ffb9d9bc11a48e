"""A map of scores of pairs of tokens as SVG."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from hf_ext.analysis.score_maps import ScoreMap
from hf_ext.web.text_layout import character_width

MOST_TOKENS = 60
"""Tokens that are drawn; the cells grow with their square."""

_CELL = 18


def heat_map(one: ScoreMap) -> Markup:
    """A cell for each pair of tokens that has a score, in the colour of the score.

    Args:
        one: the map, of which the first `MOST_TOKENS` tokens are drawn.

    Returns:
        An ``svg`` element, everything in it escaped.
    """
    tokens = one.tokens[:MOST_TOKENS]
    names = [_clipped(token) for token in tokens]
    margin = round(13 * max((sum(map(character_width, name)) for name in names), default=0)) + 10
    size = margin + _CELL * len(tokens) + 2
    parts = []
    for number, name in enumerate(map(escape, names)):
        middle = margin + _CELL * (number + 0.5)
        parts.append(f'<text class="row" x="{margin - 5}" y="{middle + 4}">{name}</text>')
        parts.append(f'<text class="column" transform="translate({middle + 4} {margin - 5}) rotate(-90)">{name}</text>')
    marked = {*one.marked}
    values = one.values[:MOST_TOKENS, :MOST_TOKENS]
    for row, column in (~values.isnan()).nonzero().tolist():
        value = float(values[row, column])
        words = _words(tokens[row : column + 1]) if one.of_spans else f"{tokens[row]} → {tokens[column]}"
        title = escape(f"{words} · {value:.3f}")
        kind = ' class="found"' if (row, column) in marked else ""
        parts.append(
            f'<rect{kind} x="{margin + _CELL * column}" y="{margin + _CELL * row}" width="{_CELL - 1}" '
            f'height="{_CELL - 1}" style="--score: {value / one.darkest:.3f}"><title>{title}</title></rect>'
        )
    label = escape(f"{one.name}: {one.rows} by row, {one.columns} by column")
    return Markup(
        f'<svg class="hx-heat" viewBox="0 0 {size} {size}" width="{size}" height="{size}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )


def _clipped(token: str, most: int = 7) -> str:
    return token if len(token) <= most else f"{token[: most - 1]}…"


def _words(tokens: Sequence[str]) -> str:
    return "".join(tokens) if len(tokens) <= 12 else f"{''.join(tokens[:6])}…{''.join(tokens[-4:])}"
