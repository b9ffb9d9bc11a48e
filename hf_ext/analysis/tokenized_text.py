"""How a tokenizer reads a text: tokens, the words that they are of, and why a word is not one token."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from tokenizers.models import WordPiece

from hf_ext.data.windows import check_gives_offsets
from hf_ext.tokenization.backend import WordBackend
from hf_ext.tokenization.segmentation import basic_pieces


@dataclass(frozen=True)
class Token:
    """A token of a text.

    Attributes:
        token: the entry of the vocabulary.
        id: of the entry.
        start: its first character in the text, and of a special token around the text 0.
        end: the character after its last, and of a special token around the text 0.
        word: which word of the text it is of, by its number from 0; None of a special token around the text.
    """

    token: str
    id: int
    start: int
    end: int
    word: int | None


@dataclass(frozen=True)
class Word:
    """A word of a text: what a segmenter found, or what a tokenizer cuts a text into before it looks for pieces.

    Attributes:
        text: its characters.
        start: the first of them in the text.
        end: the character after the last.
        reasons: why it is not one token that has its text, a phrase each; empty if it is.
    """

    text: str
    start: int
    end: int
    reasons: tuple[str, ...]


class _Rows(NamedTuple):
    """Lists of an ``Encoding``, which makes each anew whenever it is asked for it."""

    tokens: list[str]
    ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    special_tokens_mask: list[int]


@dataclass(frozen=True)
class TokenizedText:
    """A text as a tokenizer reads it.

    Attributes:
        text: the text.
        tokens: those that a model is given, special ones around the text included, none cut off.
        words: of the text, in order.
        left_out: characters that no token has, white space aside: their place ``(start, end)`` in the text.
    """

    text: str
    tokens: tuple[Token, ...]
    words: tuple[Word, ...]
    left_out: tuple[tuple[int, int], ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


def tokenized_text(tokenizer: Any, text: str) -> TokenizedText:
    """Read a text as a tokenizer does, and tell what it found in it.

    Words are those of the segmenter, where the tokenizer has one, and else what is cut off before pieces are looked
    for: at white space, punctuation and ideographs by BERT.

    Args:
        tokenizer: a fast one, of words, of characters, or any other.
        text: the text; of any length.

    Raises:
        ValueError: if the tokenizer is none that tells places in a text.
    """
    check_gives_offsets(tokenizer)
    encoding = tokenizer(text, truncation=False, verbose=False).encodings[0]
    rows = _Rows(*(getattr(encoding, name) for name in _Rows._fields))
    words: list[Word] = []
    numbers: list[int | None] = [None] * len(rows.ids)
    for places, word in _words(tokenizer, text, rows):
        for place in places:
            numbers[place] = len(words)
        words.append(word)
    tokens = tuple(
        Token(token, id, start, end, number)
        for token, id, (start, end), number in zip(rows.tokens, rows.ids, rows.offsets, numbers)
    )
    return TokenizedText(text, tokens, tuple(words), tuple(_left_out(text, rows.offsets)))


def _words(tokenizer: Any, text: str, rows: _Rows) -> Iterator[tuple[range, Word]]:
    """The words of a text, each with the places of its tokens among all."""
    backend = tokenizer.backend_tokenizer
    known = tokenizer.added_tokens_decoder
    content = [place for place, special in enumerate(rows.special_tokens_mask) if not special]
    added = [
        place for place in content if _is_added(backend, known.get(rows.ids[place]), text[slice(*rows.offsets[place])])
    ]
    # Between special tokens that are typed in a text it is read as so many texts.
    first, begin = (content or [0])[0], 0
    for place in (*added, None):
        stop = (content or [-1])[-1] + 1 if place is None else place
        end = len(text) if place is None else rows.offsets[place][0]
        cut = _segmented if isinstance(backend, WordBackend) else _grouped
        yield from cut(backend, text, range(begin, end), rows, range(first, stop))
        if place is not None:
            begin, first = rows.offsets[place][1], place + 1
            yield range(place, first), Word(text[end:begin], end, begin, ())


def _is_added(backend: Any, token: Any, seen: str) -> bool:
    """Whether a token, or None, is one that stands beside the vocabulary and was found in a text by its name."""
    if token is None:
        return False
    normalizer = backend.normalizer if token.normalized else None
    found, name = (one if normalizer is None else normalizer.normalize_str(one) for one in (seen, token.content))
    return found.strip() == name.strip()


def _segmented(
    backend: WordBackend, text: str, part: range, rows: _Rows, places: range
) -> Iterator[tuple[range, Word]]:
    """The words that a segmenter finds in a part of a text, if it can be told where they are; else its pieces."""
    words = backend.encoder.words(text[part.start : part.stop])
    if words is None or sum(word.tokens for word in words) != len(places):
        yield from _grouped(backend, text, part, rows, places)
        return
    first = places.start
    for normalized, start, end, count in words:
        own = range(first, first + count)
        first += count
        seen = text[part.start + start : part.start + end]
        if own or not seen.isspace():
            ids = [rows.ids[place] for place in own]
            reasons = _reasons(backend, seen, normalized, basic_pieces(normalized), ids)
            yield own, Word(seen, part.start + start, part.start + end, reasons)


def _grouped(backend: Any, text: str, part: range, rows: _Rows, places: range) -> Iterator[tuple[range, Word]]:
    """The words that a tokenizer cuts a part of a text into, by what it says of its tokens."""
    first = places.start
    for place in places:
        if place + 1 in places and rows.word_ids[place + 1] == rows.word_ids[place] is not None:
            continue
        own = range(first, place + 1)
        first = place + 1
        start = min(rows.offsets[one][0] for one in own)
        end = max(rows.offsets[one][1] for one in own)
        seen = text[start:end]
        normalized = seen if backend.normalizer is None else backend.normalizer.normalize_str(seen)
        # What stands for a space in some vocabularies.
        normalized = normalized.strip(" \u2581")
        pieces = [list(range(len(normalized)))]
        reasons = _reasons(backend, seen.strip(), normalized, pieces, [rows.ids[one] for one in own])
        yield own, Word(seen, start, end, reasons)


def _reasons(
    backend: Any, seen: str, normalized: str, pieces: Sequence[Sequence[int]], ids: Sequence[int]
) -> tuple[str, ...]:
    """Why a word is not one token that has its text.

    Args:
        backend: of the tokenizer.
        seen: the word in the text.
        normalized: the same after the normaliser.
        pieces: what the model looks for in the vocabulary if the whole word is not there, by the places in it.
        ids: of its tokens.
    """
    reasons = [] if seen == normalized else [f"normalised to {normalized}"]
    model = backend.model
    if not isinstance(model, WordPiece):
        return tuple(reasons)
    if not ids:
        return (*reasons, "left out")
    longest = model.max_input_chars_per_word
    if model.unk_token is not None and backend.token_to_id(model.unk_token) in ids:
        if any(len(piece) > longest for piece in pieces):
            reasons.append(f"longer than {longest} characters: {model.unk_token}")
        else:
            reasons.append(f"not in the vocabulary: {'cut, with ' if len(ids) > 1 else ''}{model.unk_token}")
    elif len(ids) > 1:
        reasons.append("not in the vocabulary: cut")
    return tuple(reasons)


def _left_out(text: str, offsets: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs of characters that no token has, without the white space around them."""
    covered = bytearray(len(text))
    for first, last in offsets:
        covered[first:last] = b"\1" * (last - first)
    start: int | None = None
    for place in range(len(text) + 1):
        free = place < len(text) and not covered[place] and not text[place].isspace()
        if free and start is None:
            start = place
        elif not free and start is not None:
            yield start, place
            start = None
