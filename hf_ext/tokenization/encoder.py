"""The word models' encoding in plain Python: ids, offsets or whole `Encoding`s, without a call from Rust for each word.

It gives what the pipeline of `hf_ext.tokenization.backend` gives, several times faster: a word's tokens are looked up
in a table, and only words that are not in it yet are cut.
"""

import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, repeat
from operator import add
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from hf_ext.tokenization.normalizer import bert_part, canonical_order, final_sigmas
from hf_ext.tokenization.segmentation import WordSegmenter
from hf_ext.tokenization.word_pieces import IdTable, TokenTable, WordPieces

_flat = chain.from_iterable


class Tokens(NamedTuple):
    """The tokens of a text: their ids, a JSON list of them without its brackets, characters, and numbers of words.

    ``bounds`` alternates between the first character of a token and the one after its last.
    """

    ids: list[int]
    texts: str
    bounds: list[int]
    words: list[int]


class Word(NamedTuple):
    """A word of a text: as it is normalised, its first character in the text and the one after its last, its tokens."""

    normalized: str
    start: int
    end: int
    tokens: int


def make_encoding(tokens: Tokens, type_id: int) -> Encoding:
    """An encoding of one text without special tokens, which Python can make only as if it had been pickled."""
    n = len(tokens.ids)
    offsets = ("[%d,%d]," * n)[:-1] % tuple(tokens.bounds)
    encoding = Encoding()
    encoding.__setstate__(
        f'{{"ids":{tokens.ids},"type_ids":{[type_id] * n},"tokens":[{tokens.texts}],"words":{tokens.words},'
        f'"offsets":[{offsets}],"special_tokens_mask":{[0] * n},"attention_mask":{[1] * n},'
        '"overflowing":[],"sequence_ranges":{}}'.encode()
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
        bert = bert_part(normalizer)
        self._by_character = bert is not None and not bert.handle_chinese_chars
        self._lower = bert is not None and self._by_character and bert.lowercase
        strip = bert.strip_accents if bert is not None else None
        self._reorders = self._lower if strip is None else self._by_character and strip
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

    def offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]] | None:
        """Ids of a text's tokens and their characters, or None as of `ids`."""
        tokens = self._tokens_of(text)
        if tokens is None:
            return None
        return tokens.ids, list(zip(tokens.bounds[::2], tokens.bounds[1::2]))

    def words(self, text: str) -> list[Word] | None:
        """The words that a text is cut into, in order, those without a token too; or None as of `ids`."""
        normalized, origin = self._normalize_aligned(text)
        if normalized is None or origin is None or _occurs(self._raw, text) or _occurs(self._normalized, normalized):
            return None
        words = []
        start = 0
        for word in self._segment(normalized):
            places = origin[start : start + len(word)]
            words.append(Word(word, min(places), max(places) + 1, len(self._ids[word])))
            start += len(word)
        return words

    def encoding(self, text: str | Sequence[str], type_id: int) -> Encoding | None:
        """Tokens of a text, or of a sentence given as words, with offsets; None if the backend has to encode it.

        Args:
            text: a text, or the words of one; then offsets count from the beginning of each word.
            type_id: which text of a pair this is, 0 or 1.
        """
        if isinstance(text, str):
            tokens = self._tokens_of(text)
            return None if tokens is None else make_encoding(tokens, type_id)
        joined = Tokens([], "", [], [])
        texts: list[str] = []
        for number, word in enumerate(text):
            part = self._tokens_of(word)
            if part is None:
                return None
            joined.ids.extend(part.ids)
            joined.bounds.extend(part.bounds)
            joined.words.extend([number] * len(part.ids))
            texts.append(part.texts)
        return make_encoding(joined._replace(texts=",".join(filter(None, texts))), type_id)

    def _tokens_of(self, text: str) -> Tokens | None:
        normalized, origin = self._normalize_plain(text), None
        if normalized is None:
            normalized, origin = self._normalize_aligned(text)
            if normalized is None:
                return None
        if _occurs(self._raw, text) or _occurs(self._normalized, normalized):
            return None
        words = self._segment(normalized)
        if not words:
            return Tokens([], "", [], [])
        # A transposition and passes in C: a loop over the words takes three times as long.
        ids, texts, bounds, n_bounds, pieces, n_tokens, n_pieces = zip(*map(self._tokens.__getitem__, words))
        starts = accumulate(map(len, words), initial=0)
        firsts = accumulate(n_pieces, initial=0)
        in_text = list(map(add, _flat(bounds), _flat(map(repeat, starts, n_bounds))))
        if origin is not None:
            ends = [origin[bound - 1] + 1 for bound in in_text[1::2]]
            in_text[::2] = [origin[bound] for bound in in_text[::2]]
            in_text[1::2] = ends
        numbers = list(map(add, _flat(pieces), _flat(map(repeat, firsts, n_tokens))))
        return Tokens(list(_flat(ids)), ",".join(filter(None, texts)), in_text, numbers)

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
        wanted = self._normalize(text)
        if self._lower:
            text = final_sigmas(text)
        images = [self._image(character) for character in text]
        if "".join(images) == wanted:
            return wanted, [position for position, image in enumerate(images) for _ in image]
        if self._reorders:
            ordered = [(position, self._image(character)) for position, character in canonical_order(text)]
            if "".join(image for _, image in ordered) == wanted:
                return wanted, [position for position, image in ordered for _ in image]
        return None, None

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
