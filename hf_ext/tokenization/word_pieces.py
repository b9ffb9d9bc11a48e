"""The tokens of single words, cut once and then looked up."""

import json
from itertools import chain
from typing import NamedTuple

from tokenizers import Tokenizer

from hf_ext.tokenization.segmentation import basic_pieces

# A longer word is one unknown token in the originals; Transformers' own limit is 100.
MAX_CHARACTERS_PER_WORD = 200

# Bounds of the tables: an entry takes about 200 bytes.
MAX_WORDS = 1 << 17
MAX_WORD_LENGTH = 64


class Piece(NamedTuple):
    """A token of a word: its id, its text, its characters in the word, and which piece of the word it is part of."""

    id: int
    token: str
    start: int
    end: int
    piece: int


class WordPieces:
    """Cuts one word into tokens, as the pre-tokenizer and the WordPiece model of the backend do."""

    def __init__(self, tokenizer: Tokenizer):
        self.vocabulary = tokenizer.get_vocab(with_added_tokens=False)
        self.model = tokenizer.model

    def __call__(self, word: str) -> list[Piece]:
        """The tokens of a word of the normalised text, in order."""
        if word in self.vocabulary:
            return [Piece(self.vocabulary[word], word, 0, len(word), 0)]
        pieces: list[Piece] = []
        for number, kept in enumerate(basic_pieces(word)):
            tokens = self.model.tokenize("".join(word[position] for position in kept))
            first = 0
            for token in tokens:
                # An unknown piece is one token, whatever its length; a later token of a piece begins with "##".
                length = len(kept) if len(tokens) == 1 else len(token.value) - 2 * (first > 0)
                pieces.append(Piece(token.id, token.value, kept[first], kept[first + length - 1] + 1, number))
                first += length
        return pieces


class IdTable(dict[str, tuple[int, ...]]):
    """Words and the ids of their tokens, filled as words are met."""

    def __init__(self, cut: WordPieces):
        self.cut = cut

    def __missing__(self, word: str) -> tuple[int, ...]:
        ids = tuple(piece.id for piece in self.cut(word))
        if len(word) <= MAX_WORD_LENGTH:
            if len(self) >= MAX_WORDS:
                self.clear()
            self[word] = ids
        return ids


# What encodings are put together from, of one word: the ids of its tokens; the tokens as a JSON list without its
# brackets; their first characters and the ones after their last, in turn; the number of these; the piece of the word
# each token belongs to; the number of tokens; the number of pieces. Bare tuples, which the garbage collector does not
# visit again and again as it would tens of thousands of other objects.
WordTokens = tuple[tuple[int, ...], str, tuple[int, ...], int, tuple[int, ...], int, int]


class TokenTable(dict[str, WordTokens]):
    """Words and their tokens in the form in which encodings are put together, filled as words are met."""

    def __init__(self, cut: WordPieces):
        self.cut = cut

    def __missing__(self, word: str) -> WordTokens:
        pieces = self.cut(word)
        tokens = (
            tuple(piece.id for piece in pieces),
            json.dumps([piece.token for piece in pieces], ensure_ascii=False)[1:-1],
            tuple(chain.from_iterable((piece.start, piece.end) for piece in pieces)),
            2 * len(pieces),
            tuple(piece.piece for piece in pieces),
            len(pieces),
            pieces[-1].piece + 1 if pieces else 0,
        )
        if len(word) <= MAX_WORD_LENGTH:
            if len(self) >= MAX_WORDS:
                self.clear()
            self[word] = tokens
        return tokens
