"""What a tokenizer makes of a text, as HTML: its tokens, the words they are of, and where they stand."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from hf_ext.analysis.tokenized_text import Token, TokenizedText

MOST_TOKENS = 1000
"""Rows of the table; a browser is slow with more."""


def token_table(seen: TokenizedText, unknown: str | None = None) -> Markup:
    """A text cut into its tokens, and a table of them.

    Args:
        seen: the text as a tokenizer reads it, of which the first `MOST_TOKENS` tokens are shown.
        unknown: the token for what the vocabulary lacks, which is marked.
    """
    text, shown = seen.text, seen.tokens[:MOST_TOKENS]
    counts = f"{len(seen.tokens)} tokens, {len(seen.words)} words, {len(text)} characters"
    rest = f"; the first {MOST_TOKENS} tokens are shown" if len(seen.tokens) > MOST_TOKENS else ""
    rows = "".join(
        f"<tr{_kind(token, unknown)}><td>{number}</td><td><code>{escape(token.token)}</code></td>"
        f"<td>{token.id}</td><td>{'' if token.word is None else token.word}</td><td>{token.start}</td>"
        f"<td>{token.end}</td><td>{escape(_visible(text[token.start : token.end]))}</td></tr>"
        for number, token in enumerate(shown)
    )
    heading = "".join(f"<th>{name}</th>" for name in ("no.", "token", "id", "word", "start", "end", "characters"))
    return Markup(
        f'<p class="hx-count">{counts}{rest}</p><div class="hx-pieces" dir="auto">{_cut(text, shown, unknown)}</div>'
        f'<div class="hx-long"><table class="hx-table"><tr>{heading}</tr>{rows}</table></div>'
    )


def _cut(text: str, tokens: Sequence[Token], unknown: str | None) -> str:
    """The text with a box around each token, and what no token is of between them."""
    html, position = [], 0
    for token in tokens:
        if token.end <= position:
            continue
        start = max(token.start, position)
        html.append(str(escape(text[position:start])))
        title = escape(f"{token.token} · {token.id} · {token.start}–{token.end}")
        # Words are told apart by their colour, pieces by their borders.
        kind = f"{'odd' if (token.word or 0) % 2 else 'even'}{' unknown' if token.token == unknown else ''}"
        html.append(f'<span class="{kind}" title="{title}">{escape(text[start : token.end])}</span>')
        position = token.end
    html.append(str(escape(text[position:])))
    return "".join(html)


def _kind(token: Token, unknown: str | None) -> str:
    return ' class="unknown"' if token.token == unknown else ""


def _visible(characters: str) -> str:
    """Blanks by signs that can be seen."""
    return characters.translate({9: "⇥", 10: "↵", 13: "↵", 32: "␣", 0x3000: "␣"})
