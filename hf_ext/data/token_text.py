"""Text of tokens: where a space belongs between two of them."""

import unicodedata


def join_tokens(tokens: list[str]) -> tuple[str, list[tuple[int, int]]]:
    """A text and the offsets of its tokens, ``end`` exclusive; a space separates words of two letters or more alone."""
    parts: list[str] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    for before, token in zip(["", *tokens], tokens):
        if before and max(len(before), len(token)) > 1 and _is_letter(before[-1]) and _is_letter(token[0]):
            parts.append(" ")
            at += 1
        parts.append(token)
        offsets.append((at, at + len(token)))
        at += len(token)
    return "".join(parts), offsets


def _is_letter(character: str) -> bool:
    """Whether it is a letter or digit of a script that separates words by spaces."""
    return character.isalnum() and unicodedata.east_asian_width(character) not in ("W", "F")
