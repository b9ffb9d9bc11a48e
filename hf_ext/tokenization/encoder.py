"""The word models' encoding in plain Python: ids, or whole `Encoding`s, without a call from Rust for each word.

It gives what the pipeline of `hf_ext.tokenization.backend` gives, several times faster: a word's tokens are looked up
in a table, and only words that are not in it yet are cut.
"""

import json
import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer
from tokenizers.normalizers import BertNormalizer

from hf_ext.tokenization.segmentation import WordSegmenter, basic_pieces

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


# Ids of a word's tokens; the tokens as a JSON list without its brackets; their first characters and the ones after
# their last, in turn; the piece of the word each belongs to; the number of pieces. Bare tuples, which the garbage
# collector does not visit again and again as it would tens of thousands of other objects.
WordTokens = tuple[tuple[int, ...], str, tuple[int, ...], tuple[int, ...], int]


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
            tuple(piece.piece for piece in pieces),
            pieces[-1].piece + 1 if pieces else 0,
        )
        if len(word) <= MAX_WORD_LENGTH:
            if len(self) >= MAX_WORDS:
                self.clear()
            self[word] = tokens
        return tokens


def make_encoding(ids: list[int], tokens: str, bounds: list[int], words: list[int], type_id: int) -> Encoding:
    """An encoding of one text without special tokens, which Python can make only as if it had been pickled.

    Args:
        ids: ids of the tokens.
        tokens: the tokens as a JSON list without its brackets.
        bounds: the first character of each token and the one after its last, in turn.
        words: number of the word of each token.
        type_id: of every token.
    """
    n = len(ids)
    offsets = ("[%d,%d]," * n)[:-1] % tuple(bounds)
    encoding = Encoding()
    encoding.__setstate__(
        f'{{"ids":{ids},"type_ids":{[type_id] * n},"tokens":[{tokens}],"words":{words},"offsets":[{offsets}],'
        f'"special_tokens_mask":{[0] * n},"attention_mask":{[1] * n},"overflowing":[],"sequence_ranges":{{}}}}'.encode()
    )
    return encoding


class TextEncoder:
    """Encodes texts as a backend does in the state it has now.

    Args:
        tokenizer: the backend whose vocabulary, normaliser and added tokens are used.
        segmenter: cuts the normalised text into words.
    """

    def __init__(self, tokenizer: Tokenizer, segmenter: WordSegmenter):
        cut = WordPieces(tokenizer)
        self._ids, self._tokens = IdTable(cut), TokenTable(cut)
        self._segment: Callable[[str], list[str]] = segmenter.cut
        normalizer = tokenizer.normalizer
        self._normalize: Callable[[str], str] = normalizer.normalize_str if normalizer is not None else str
        # Only of BERT's normaliser it is known that it maps each character by itself.
        self._by_character = isinstance(normalizer, BertNormalizer) and not normalizer.handle_chinese_chars
        self._lower = self._by_character and normalizer.lowercase
        self._plain: set[str] = set()
        self._images: dict[str, str] = {}
        self._raw = _first_characters([t.content for t in tokenizer.get_added_tokens_decoder().values()])
        self._normalized = _first_characters(
            [self._normalize(t.content) for t in tokenizer.get_added_tokens_decoder().values() if t.normalized]
        )

    def ids(self, text: str) -> list[int] | None:
        """Ids of a text's tokens without special ones; None if an added token may be in it, which the backend finds."""
        normalized = self._normalize_plain(text)
        if normalized is None:
            normalized = self._normalize(text)
        if _occurs(self._raw, text) or _occurs(self._normalized, normalized):
            return None
        return list(chain.from_iterable(map(self._ids.__getitem__, self._segment(normalized))))

    def encoding(self, text: str | Sequence[str], type_id: int) -> Encoding | None:
        """Tokens of a text, or of a sentence given as words, with offsets; None if the backend has to encode it.

        Args:
            text: a text, or the words of one; then offsets count from the beginning of each word.
            type_id: which text of a pair this is, 0 or 1.
        """
        ids: list[int] = []
        tokens: list[str] = []
        bounds: list[int] = []
        words: list[int] = []
        split = not isinstance(text, str)
        for number, part in enumerate([text] if isinstance(text, str) else text):
            normalized, origin = self._normalize_plain(part), None
            if normalized is None:
                normalized, origin = self._normalize_aligned(part)
                if normalized is None:
                    return None
            if _occurs(self._raw, part) or _occurs(self._normalized, normalized):
                return None
            before = len(ids)
            begin = first = 0
            for word in self._segment(normalized):
                word_ids, word_text, word_bounds, pieces, n_pieces = self._tokens[word]
                if n_pieces:
                    ids += word_ids
                    tokens.append(word_text)
                    bounds += [begin + bound for bound in word_bounds]
                    words += [first + piece for piece in pieces]
                    first += n_pieces
                begin += len(word)
            if origin is not None:
                ends = [origin[bound - 1] + 1 for bound in bounds[2 * before + 1 :: 2]]
                bounds[2 * before :: 2] = [origin[bound] for bound in bounds[2 * before :: 2]]
                bounds[2 * before + 1 :: 2] = ends
            if split:
                words[before:] = [number] * (len(words) - before)
        return make_encoding(ids, ",".join(tokens), bounds, words, type_id)

    def _normalize_plain(self, text: str) -> str | None:
        """The normalised text, if its characters stay one each and can be lower-cased at once; else None."""
        if not self._plain.issuperset(text):
            if not self._by_character:
                return None
            self._classify(set(text).difference(self._plain))
            if not self._plain.issuperset(text):
                return None
        return text.lower() if self._lower else text

    def _classify(self, characters: set[str]) -> None:
        for character in characters:
            image = self._normalize(character)
            # Marks are reordered among themselves, the lower case of a capital sigma depends on what follows, and
            # of characters newer than Python's table neither is known.
            if (
                image == (character.lower() if self._lower else character)
                and len(image) == 1
                and not unicodedata.combining(image)
                and unicodedata.category(character) not in ("Cn", "Mn")
                and character != "Σ"
            ):
                self._plain.add(character)

    def _normalize_aligned(self, text: str) -> tuple[str | None, list[int] | None]:
        """The normalised text and the original position of each of its characters; None if they cannot be told."""
        images = [self._image(character) for character in text]
        normalized = "".join(images)
        if normalized != self._normalize(text):
            return None, None
        return normalized, [position for position, image in enumerate(images) for _ in image]

    def _image(self, character: str) -> str:
        image = self._images.get(character)
        if image is None:
            image = self._images[character] = self._normalize(character)
        return image


def _first_characters(contents: list[str]) -> dict[str, tuple[str, ...]]:
    """Texts by their first character."""
    table: dict[str, tuple[str, ...]] = {}
    for content in filter(None, contents):
        table[content[0]] = (*table.get(content[0], ()), content)
    return table


def _occurs(table: dict[str, tuple[str, ...]], text: str) -> bool:
    """Whether one of the texts in the table is part of ``text``."""
    if not table or table.keys().isdisjoint(text):
        return False
    return any(text.startswith(table[c], position) for position, c in enumerate(text) if c in table)
