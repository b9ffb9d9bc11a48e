"""Scores of spans of tokens as a heat map, as SVG."""

from collections.abc import Sequence
from math import exp

from markupsafe import Markup, escape

from hf_ext.web.text_layout import character_width

MOST_TOKENS = 60
"""Tokens that are drawn; the cells grow with their square."""

_CELL = 18


def heat_map(tokens: Sequence[str], scores: Sequence[Sequence[float]], threshold: float = 0.5) -> Markup:
    """A cell for each span: its first token is the row, its last the column, and the colour its score.

    Args:
        tokens: ``L`` of them, as they are to be named; the first `MOST_TOKENS` are drawn.
        scores: ``[L, L]`` scores before the logistic function; -inf where no span may stand, of which nothing is drawn.
        threshold: cells of which the logistic function is above this are framed, as spans that the model finds.

    Returns:
        An ``svg`` element, everything in it escaped.

    Raises:
        ValueError: if ``scores`` has not a row and a column for each token.
    """
    if len(scores) != len(tokens) or any(len(row) != len(tokens) for row in scores):
        raise ValueError(
            f"scores must have a row and a column for each of {len(tokens)} tokens, got {len(scores)} rows"
        )
    shown = min(len(tokens), MOST_TOKENS)
    names = [_clipped(token) for token in tokens[:shown]]
    margin = round(13 * max((sum(map(character_width, name)) for name in names), default=0)) + 10
    size = margin + _CELL * shown + 2
    parts = []
    for number, name in enumerate(map(escape, names)):
        middle = margin + _CELL * (number + 0.5)
        parts.append(f'<text class="row" x="{margin - 5}" y="{middle + 4}">{name}</text>')
        parts.append(f'<text class="column" transform="translate({middle + 4} {margin - 5}) rotate(-90)">{name}</text>')
    for row in range(shown):
        for column in range(shown):
            score = scores[row][column]
            if score == float("-inf"):
                continue
            value = probability(score)
            words = _words(tokens[row : column + 1])
            title = escape(f"{words} · {value:.3f} ({score:.1f})")
            kind = ' class="found"' if value > threshold else ""
            parts.append(
                f'<rect{kind} x="{margin + _CELL * column}" y="{margin + _CELL * row}" width="{_CELL - 1}" '
                f'height="{_CELL - 1}" style="--score: {value:.3f}"><title>{title}</title></rect>'
            )
    return Markup(
        f'<svg class="hx-heat" viewBox="0 0 {size} {size}" width="{size}" height="{size}" role="img" '
        f'aria-label="scores of spans: first token by row, last by column">{"".join(parts)}</svg>'
    )


def probability(score: float) -> float:
    """The logistic function of a score, however large."""
    return 1 / (1 + exp(-score)) if score >= 0 else exp(score) / (1 + exp(score))


def _clipped(token: str, most: int = 7) -> str:
    return token if len(token) <= most else f"{token[: most - 1]}…"


def _words(tokens: Sequence[str]) -> str:
    return "".join(tokens) if len(tokens) <= 12 else f"{''.join(tokens[:6])}…{''.join(tokens[-4:])}"
