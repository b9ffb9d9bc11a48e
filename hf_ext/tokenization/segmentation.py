"""Words of a sentence as jieba cuts them, and what BERT makes of a word that the vocabulary lacks."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any


def _import_rjieba() -> Any:
    try:
        import rjieba
    except ImportError as error:
        raise ImportError("word vocabularies need rjieba, which is not installed: pip install rjieba") from error
    return rjieba


class WordSegmenter:
    """``jieba.cut(text, HMM=False)``, with words of the user's own.

    The dictionary is the process's shared one until a word is added; from then on it belongs to this object.

    Args:
        words: words to add, in the alphabet of the normalised text.
    """

    def __init__(self, words: Iterable[str] = ()):
        self._rjieba = _import_rjieba()
        self._jieba: Any = self._rjieba
        self.words: list[str] = []
        self.add(words)

    def add(self, words: Iterable[str]) -> None:
        """Add words with a frequency that makes jieba prefer each to any way of cutting it.

        Raises:
            ValueError: if jieba cannot give the word whole, as it is empty or holds a space or punctuation.
        """
        for word in words:
            if word in self.words:
                continue
            if self._jieba is self._rjieba:
                self._jieba = self._rjieba.Jieba()
            if word:
                self._jieba.add_word(word, None, None)
            if self.cut(word) != [word] or word.isspace():
                raise ValueError(
                    f"user_words has {word!r}, which jieba gives as {self.cut(word)}; "
                    "wanted a word of ideographs, letters and digits, without spaces or punctuation"
                )
            self.words.append(word)

    def cut(self, text: str) -> list[str]:
        """The words of a text; joined they are the text again."""
        return self._jieba.cut(text, False)


@lru_cache(maxsize=1 << 16)
def _kind(character: str) -> str:
    """``alone``, ``space``, ``dropped`` or ``inner``: how BERT's basic tokenizer treats a character."""
    code, category = ord(character), unicodedata.category(character)
    if category[0] == "P" or 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return "alone"
    if is_ideograph(character):
        return "alone"
    if category[0] == "Z" or character in "\t\n\r":
        return "space"
    if category in ("Cc", "Cf") or code in (0, 0xFFFD):
        return "dropped"
    return "inner"


def is_ideograph(character: str) -> bool:
    """Whether BERT counts a character as Chinese."""
    code = ord(character)
    return (
        0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0x20000 <= code <= 0x2A6DF
        or 0x2A700 <= code <= 0x2CEAF
        or 0xF900 <= code <= 0xFAFF
        or 0x2F800 <= code <= 0x2FA1F
    )


def is_kept(character: str) -> bool:
    """Whether a character reaches WordPiece when its word is not in the vocabulary."""
    return _kind(character) != "dropped"


def basic_pieces(word: str) -> list[list[int]]:
    """Positions of the characters of each piece into which BERT's basic tokenizer cuts a word.

    Ideographs and punctuation stand alone, white space separates, control characters are left out; so the positions
    of a piece can have gaps.
    """
    pieces: list[list[int]] = []
    run: list[int] = []
    for position, character in enumerate(word):
        kind = _kind(character)
        if kind == "inner":
            if not run:
                pieces.append(run)
            run.append(position)
        elif kind != "dropped":
            run = []
            if kind == "alone":
                pieces.append([position])
    return pieces
