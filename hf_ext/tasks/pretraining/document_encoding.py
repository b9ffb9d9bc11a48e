"""Documents to rows for pre-training: whole sentences packed up to a length, each token with the word it is part of."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from transformers import BatchEncoding, PreTrainedTokenizerBase

from hf_ext.tokenization.segmentation import WordSegmenter

# A sentence keeps the marks that end it, the closing quotes and brackets behind them, and the line break.
_SENTENCE = re.compile(r".+?(?:[。！？!?；;…]+[”’」』）)\"']*\s*|\n+|$)", re.DOTALL)

# The word of a token that belongs to none: a special or unknown token.
NO_WORD = -1


def partition_sentences(text: str) -> list[str]:
    """The sentences of a text with all that stands between them: joined they are the text again."""
    return _SENTENCE.findall(text)


@dataclass
class DocumentEncoder:
    """Packs the sentences of documents into rows of at most ``max_length`` tokens and numbers the words in them.

    A row is ``[CLS]``, as many whole sentences of one document as fit, ``[SEP]``, as in the pre-training of WoBERT
    (kexue.fm/archives/7758). A sentence that is longer than a row goes on in the next one, cut between words.

    A word is what jieba finds in the text, for word and character vocabularies alike: all tokens of a word have the
    same number, and so have the tokens of neighbouring words that one token reaches across or that the tokenizer
    holds for one word. Special and unknown tokens, and the words around an unknown token, have the number -1.

    Args:
        tokenizer: a fast tokenizer with ``[CLS]`` and ``[SEP]``. The words of `JiebaWordPieceTokenizer` are cut with
            its own ``user_words``.
        max_length: tokens in a row, special ones included.
        whole_words: whether words are those of jieba; else each token is a word of its own, and a long sentence may be
            cut anywhere.

    Raises:
        ValueError: if ``max_length`` leaves no place for a token, or the tokenizer is not fast or lacks a special one.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int = 512
    whole_words: bool = True
    _segmenter: WordSegmenter | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_length < 3:
            raise ValueError(f"max_length must be at least 3, for [CLS], a token and [SEP], got {self.max_length}")
        if not self.tokenizer.is_fast:
            raise ValueError(f"tokenizer must be a fast one, which gives offsets, got {type(self.tokenizer).__name__}")
        for name in ("cls_token_id", "sep_token_id"):
            if getattr(self.tokenizer, name) is None:
                raise ValueError(f"tokenizer must have a {name}, got None")

    def __call__(self, documents: Iterable[str]) -> dict[str, list[list[int]]]:
        """Encode documents.

        Returns:
            ``input_ids`` and ``word_ids``, a row each of equal lengths; a document without tokens makes no row.
        """
        rows: dict[str, list[list[int]]] = {"input_ids": [], "word_ids": []}
        for document in documents:
            for ids, words in self._pack(partition_sentences(document)):
                rows["input_ids"].append([self.tokenizer.cls_token_id, *ids, self.tokenizer.sep_token_id])
                rows["word_ids"].append([NO_WORD, *words, NO_WORD])
        return rows

    def encode_dataset(self, dataset: Any, column: str = "text", **arguments: Any) -> Any:
        """A `datasets.Dataset` of rows from one with a column of documents; ``arguments`` go to its ``map``."""
        names = dataset.column_names
        return dataset.map(lambda batch: self(batch[column]), batched=True, remove_columns=names, **arguments)

    def __getstate__(self) -> dict[str, Any]:
        # jieba's dictionary does not pickle, and is made again where it is needed.
        return {**self.__dict__, "_segmenter": None}

    def _pack(self, sentences: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        room = self.max_length - 2
        ids: list[int] = []
        words: list[int] = []
        for new_ids, new_words in self._sentences(sentences):
            if ids and len(ids) + len(new_ids) > room:
                yield ids, words
                ids, words = [], []
            first = max(words, default=NO_WORD) + 1
            ids = ids + new_ids
            words = words + [NO_WORD if word == NO_WORD else word + first for word in new_words]
            while len(ids) > room:
                cut = _cut(words, room)
                yield ids[:cut], words[:cut]
                ids, words = ids[cut:], words[cut:]
        if ids:
            yield ids, words

    def _sentences(self, sentences: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        """The ids of each sentence's tokens, and the word of each."""
        if not sentences:
            return
        batch = self.tokenizer(
            list(sentences), add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        for index, sentence in enumerate(sentences):
            yield batch["input_ids"][index], self._words(sentence, batch, index)

    def _words(self, sentence: str, batch: BatchEncoding, index: int) -> list[int]:
        """Number the words of a sentence from 0, in their order."""
        if not self.whole_words:
            special = set(self.tokenizer.all_special_ids)
            return [NO_WORD if id in special else number for number, id in enumerate(batch["input_ids"][index])]
        # As the word tokenizers cut it: lower-cased, which of some characters makes two.
        lower = sentence.lower()
        found = self._cut_words(lower if len(lower) == len(sentence) else sentence)
        starts = list(accumulate(map(len, found), initial=0))
        numbers: list[int] = []
        reached, own, number = -1, None, -1
        for (start, end), token_word in zip(batch["offset_mapping"][index], batch.word_ids(index)):
            if bisect_right(starts, start) > reached and (token_word is None or token_word != own):
                number += 1
            reached, own = max(reached, bisect_right(starts, max(start, end - 1))), token_word
            numbers.append(number)
        special = set(self.tokenizer.all_special_ids)
        spoiled = {number for number, id in zip(numbers, batch["input_ids"][index]) if id in special}
        return [NO_WORD if number in spoiled else number for number in numbers]

    def _cut_words(self, text: str) -> list[str]:
        own = getattr(getattr(self.tokenizer, "backend_tokenizer", None), "segmenter", None)
        if own is not None:
            return own.cut(text)
        if self._segmenter is None:
            self._segmenter = WordSegmenter()
        return self._segmenter.cut(text)


def _cut(words: Sequence[int], room: int) -> int:
    """The last place up to ``room`` that is between two words; ``room`` itself if one word takes all of it."""
    for cut in range(room, 0, -1):
        if words[cut] == NO_WORD or words[cut] != words[cut - 1]:
            return cut
    return room
