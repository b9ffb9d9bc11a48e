"""The Rust tokenizer of the word models, with a pre-tokenizer in Python that pickles and copies."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from tokenizers import Encoding, NormalizedString, PreTokenizedString, Tokenizer
from tokenizers.pre_tokenizers import BertPreTokenizer, PreTokenizer

from hf_ext.tokenization.encoder import TextEncoder
from hf_ext.tokenization.rows import Template, read_template
from hf_ext.tokenization.segmentation import WordSegmenter, basic_pieces, is_kept


class WordPreTokenizer:
    """Cuts a normalised text into the words of the vocabulary, and any other word as BERT's basic tokenizer does.

    This is the readable twin of `hf_ext.tokenization.encoder`, and what texts with added tokens go through.
    """

    def __init__(self, segmenter: WordSegmenter, vocabulary: dict[str, int]):
        self.segmenter = segmenter
        self.vocabulary = vocabulary

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        """Split in place, as `tokenizers.pre_tokenizers.PreTokenizer.custom` asks."""
        text.split(self._split)

    def _split(self, index: int, text: NormalizedString) -> list[Any]:
        pieces: list[Any] = []
        start = 0
        for word in self.segmenter.cut(str(text)):
            if word in self.vocabulary:
                pieces.append(text[start : start + len(word)])
            else:
                for kept in basic_pieces(word):
                    piece: Any = text[start + kept[0] : start + kept[-1] + 1]
                    piece.filter(is_kept)
                    pieces.append(piece)
            start += len(word)
        return pieces


class WordBackend:
    """A `tokenizers.Tokenizer` that segments by words, encodes batches in Python, pickles and copies.

    Everything that is not said here is the tokenizer's own.

    Args:
        tokenizer: a WordPiece tokenizer; its pre-tokenizer is replaced.
        user_words: words to add to jieba's dictionary; they go through the normaliser first.
    """

    def __init__(self, tokenizer: Tokenizer, user_words: Iterable[str] = ()):
        set_ = object.__setattr__
        set_(self, "tokenizer", tokenizer)
        set_(self, "segmenter", WordSegmenter())
        # Counts what can change the tokens of a text.
        set_(self, "generation", 0)
        vocabulary = tokenizer.get_vocab(with_added_tokens=False)
        tokenizer.pre_tokenizer = PreTokenizer.custom(WordPreTokenizer(self.segmenter, vocabulary))
        self.add_words(user_words)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "tokenizer"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("pre_tokenizer", "model"):
            raise AttributeError(f"{name} of a word tokenizer cannot be replaced: it decides which words are tokens")
        # Special tokens in a text are found by Rust, whatever this says.
        if name != "encode_special_tokens":
            self._changed()
        setattr(self.tokenizer, name, value)

    def _changed(self) -> None:
        object.__setattr__(self, "generation", self.generation + 1)
        object.__setattr__(self, "_templates", {})
        self.__dict__.pop("encoder", None)

    @cached_property
    def encoder(self) -> TextEncoder:
        """The encoder in Python for the state the tokenizer has now."""
        return TextEncoder(self.tokenizer, self.segmenter)

    def add_words(self, words: Iterable[str]) -> None:
        """Add words to the segmenter's dictionary, normalised as texts are."""
        normalizer = self.tokenizer.normalizer
        self.segmenter.add([normalizer.normalize_str(word) if normalizer is not None else word for word in words])
        self._changed()

    def add_tokens(self, tokens: Sequence[Any]) -> int:
        """Add tokens, as `tokenizers.Tokenizer.add_tokens`."""
        self._changed()
        return self.tokenizer.add_tokens(tokens)

    def add_special_tokens(self, tokens: Sequence[Any]) -> int:
        """Add special tokens, as `tokenizers.Tokenizer.add_special_tokens`."""
        self._changed()
        return self.tokenizer.add_special_tokens(tokens)

    def encode_batch(
        self, input: Sequence[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """Encode texts or pairs, as `tokenizers.Tokenizer.encode_batch` and equal to it."""
        encodings = [self._encode(item, is_pretokenized, add_special_tokens) for item in input]
        padding = self.tokenizer.padding
        if padding is not None and padding["length"] is None and encodings:
            length = max(map(len, encodings))
            for encoding in encodings:
                encoding.pad(
                    length,
                    direction=padding["direction"],
                    pad_id=padding["pad_id"],
                    pad_type_id=padding["pad_type_id"],
                    pad_token=padding["pad_token"],
                )
        return encodings

    def _encode(self, item: Any, is_pretokenized: bool, add_special_tokens: bool) -> Encoding:
        texts = (item,) if not isinstance(item, tuple) or (is_pretokenized and _is_text(item, True)) else item
        if 1 <= len(texts) <= 2 and all(_is_text(text, is_pretokenized) for text in texts):
            parts = [self.encoder.encoding(text, type_id) for type_id, text in enumerate(texts)]
            if all(part is not None for part in parts):
                return self.tokenizer.post_process(parts[0], *parts[1:], add_special_tokens=add_special_tokens)
        return self.tokenizer.encode_batch([item], is_pretokenized, add_special_tokens)[0]

    def template(self, pair: bool, add_special_tokens: bool) -> Template | None:
        """The special tokens around a text, or around the two of a pair."""
        key = pair, add_special_tokens
        if key not in self._templates:
            self._templates[key] = read_template(self.tokenizer, *key)
        return self._templates[key]

    def content(self, text: str, offsets: bool) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of a text's tokens without special tokens at its ends and without truncation, and offsets if wanted."""
        if offsets:
            tokens = self.encoder.offsets(text)
            if tokens is not None:
                return tokens
        else:
            ids = self.encoder.ids(text)
            if ids is not None:
                return ids, []
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def to_str(self, pretty: bool = False) -> str:
        """The tokenizer as JSON with BERT's pre-tokenizer in place of the words, which JSON cannot hold."""
        custom, self.tokenizer.pre_tokenizer = self.tokenizer.pre_tokenizer, BertPreTokenizer()
        try:
            return self.tokenizer.to_str(pretty)
        finally:
            self.tokenizer.pre_tokenizer = custom

    def save(self, path: str, pretty: bool = True) -> None:
        """Refused: whoever read the file would get other tokens."""
        raise NotImplementedError(
            f"a tokenizer.json cannot hold the word segmentation, so {path!r} is not written; "
            "save_pretrained of the tokenizer writes vocab.txt and tokenizer_config.json"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.to_str(), tuple(self.segmenter.words))

    def __deepcopy__(self, memo: dict[int, Any]) -> "WordBackend":
        return _rebuild(self.to_str(), tuple(self.segmenter.words))


def _rebuild(state: str, user_words: tuple[str, ...]) -> WordBackend:
    return WordBackend(Tokenizer.from_str(state), user_words)


def _is_text(item: Any, is_pretokenized: bool) -> bool:
    if is_pretokenized:
        return isinstance(item, list | tuple) and all(isinstance(word, str) for word in item)
    return isinstance(item, str)
