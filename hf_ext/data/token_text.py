"""Text of tokens: where a space belongs between two of them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

# Ideographs, kana, and the scripts of South East Asia that part no words: Thai and Lao, Tibetan, Burmese, Khmer.
_UNSPACED = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
# English as tokenizers of words cut it: what leans on the token before, and on the one behind.
_LEANS_BACK = re.compile(r"[.,;:!?%)\]}’”»…]+|['’][A-Za-z]{1,2}|n['’]t|''|'|-R[RCS]B-", re.IGNORECASE)
_LEANS_ON = re.compile(r"[(\[{$£€¥#“‘«¿¡]|``|-L[RCS]B-")


def join_tokens(tokens: Sequence[str], spaced: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """A text and the offsets of its tokens, ``end`` exclusive.

    Args:
        tokens: those of a sentence.
        spaced: join words as English and Korean are written, by spaces, with punctuation that leans on its word; but
            not where the sentence has characters of a script without spaces. Else a space separates words of two
            letters or more alone, as in Chinese texts.
    """
    gaps = _gaps_of_words(tokens) if spaced and not any(map(_UNSPACED.search, tokens)) else _gaps_of_characters(tokens)
    parts: list[str] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    for token, gap in zip(tokens, gaps):
        if gap:
            parts.append(" ")
            at += 1
        parts.append(token)
        offsets.append((at, at + len(token)))
        at += len(token)
    return "".join(parts), offsets


def _gaps_of_characters(tokens: Sequence[str]) -> Iterator[bool]:
    """Whether a space stands before each token of a Chinese text."""
    before = ""
    for token in tokens:
        longer = len(before) > 1 or len(token) > 1
        yield longer and before != "" and _is_letter(before[-1]) and _is_letter(token[0])
        before = token


def _gaps_of_words(tokens: Sequence[str]) -> Iterator[bool]:
    """Whether a space stands before each token of a text with spaces."""
    # Straight quotes open and close in turn.
    quoted = False
    # Nor does one stand before the first.
    leans_on = True
    for token in tokens:
        closes = quoted and token == '"'
        yield not leans_on and not closes and not token.isspace() and _LEANS_BACK.fullmatch(token) is None
        quoted = quoted != (token == '"')
        leans_on = token.isspace() or (quoted and token == '"') or _LEANS_ON.fullmatch(token) is not None


def are_words(tokens: Iterable[str]) -> bool:
    """Whether tokens are rather words of scripts that separate them by spaces than characters or words of others."""
    words = others = 0
    for token, count in Counter(tokens).items():
        words += count * (len(token) > 1 and _is_letter(token[0]) and _is_letter(token[-1]))
        others += count * (_UNSPACED.search(token) is not None)
    return words > others


def _is_letter(character: str) -> bool:
    """Whether it is a letter or digit of a script that separates words by spaces."""
    if not character.isalnum() or _UNSPACED.match(character):
        return False
    return unicodedata.east_asian_width(character) not in ("W", "F") or _HANGUL.match(character) is not None
