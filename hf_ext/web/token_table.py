"""What a tokenizer makes of a text: its pieces, the words they are of, and where they stand."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from hf_ext.data.windows import check_gives_offsets

MOST_TOKENS = 1000
"""Rows of the table; a browser is slow with more."""


@dataclass(frozen=True)
class Piece:
    """A token of a text.

    Attributes:
        token: its name in the vocabulary.
        number: its place there.
        word: the number of its word in the text; None of a token that the tokenizer adds.
        start: its first character in the text.
        end: the character after its last.
    """

    token: str
    number: int
    word: int | None
    start: int
    end: int


def pieces_of(tokenizer: Any, text: str) -> list[Piece]:
    """The tokens of a text, special ones included, however many the model takes.

    Raises:
        ValueError: if the tokenizer does not say where its tokens are in a text.
    """
    check_gives_offsets(tokenizer)
    # Without the warning that a text is longer than the model takes: no model sees this.
    rows = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
    names = tokenizer.convert_ids_to_tokens(rows["input_ids"])
    words = rows.word_ids(0)
    return [
        Piece(token, number, word, *offsets)
        for token, number, word, offsets in zip(names, rows["input_ids"], words, rows["offset_mapping"])
    ]


def token_table(text: str, pieces: list[Piece], unknown: str | None = None) -> Markup:
    """A text cut into its tokens, and a table of them.

    Args:
        text: the text.
        pieces: of it, from `pieces_of`; the first `MOST_TOKENS` are shown.
        unknown: the token for what the vocabulary lacks, which is marked.
    """
    shown = pieces[:MOST_TOKENS]
    words = {piece.word for piece in pieces} - {None}
    counts = f"{len(pieces)} tokens, {len(words)} words, {len(text)} characters"
    rest = f"; the first {MOST_TOKENS} tokens are shown" if len(pieces) > MOST_TOKENS else ""
    rows = "".join(
        f"<tr{_kind(piece, unknown)}><td>{number}</td><td><code>{escape(piece.token)}</code></td>"
        f"<td>{piece.number}</td><td>{'' if piece.word is None else piece.word}</td><td>{piece.start}</td>"
        f"<td>{piece.end}</td><td>{escape(_visible(text[piece.start : piece.end]))}</td></tr>"
        for number, piece in enumerate(shown)
    )
    heading = "".join(f"<th>{name}</th>" for name in ("no.", "token", "id", "word", "start", "end", "characters"))
    return Markup(
        f'<p class="hx-count">{counts}{rest}</p><div class="hx-pieces" dir="auto">{_cut(text, shown, unknown)}</div>'
        f'<div class="hx-long"><table class="hx-table"><tr>{heading}</tr>{rows}</table></div>'
    )


def _cut(text: str, pieces: list[Piece], unknown: str | None) -> str:
    """The text with a box around each token, and what no token is of between them."""
    html, position = [], 0
    for piece in pieces:
        if piece.end <= position:
            continue
        start = max(piece.start, position)
        html.append(str(escape(text[position:start])))
        title = escape(f"{piece.token} · {piece.number} · {piece.start}–{piece.end}")
        # Words are told apart by their colour, pieces by their borders.
        kind = f"{'odd' if (piece.word or 0) % 2 else 'even'}{' unknown' if piece.token == unknown else ''}"
        html.append(f'<span class="{kind}" title="{title}">{escape(text[start : piece.end])}</span>')
        position = piece.end
    html.append(str(escape(text[position:])))
    return "".join(html)


def _kind(piece: Piece, unknown: str | None) -> str:
    return ' class="unknown"' if piece.token == unknown else ""


def _visible(characters: str) -> str:
    """Blanks by signs that can be seen."""
    return characters.translate({9: "⇥", 10: "↵", 13: "↵", 32: "␣", 0x3000: "␣"})
