"""Vocabularies of words, made from texts over one of characters."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from transformers import PreTrainedTokenizerBase

from hf_ext.tokenization.segmentation import WordSegmenter

if TYPE_CHECKING:
    from hf_ext.tokenization.jieba_wordpiece import JiebaWordPieceTokenizer


def frequent_words(texts: Iterable[str], count: int, known: Iterable[str] = ()) -> list[str]:
    """The words of two letters or more that jieba finds most often, the first seen first of equals.

    Args:
        texts: where to look.
        count: how many there may be.
        known: words to leave out.
    """
    segmenter, leave_out = WordSegmenter(), set(known)
    counts = Counter(word for text in texts for word in segmenter.cut(text.lower()))
    words = (word for word, _ in counts.most_common() if len(word) > 1 and word.isalpha() and word not in leave_out)
    return [word for word, _ in zip(words, range(count))]


def with_words(tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> "JiebaWordPieceTokenizer":
    """A tokenizer that cuts these words whole, and all else as before (kexue.fm/archives/7758).

    Args:
        tokenizer: BERT's kind, of characters or words; its entries keep their numbers.
        words: the entries that follow them.
    """
    from hf_ext.tokenization.jieba_wordpiece import JiebaWordPieceTokenizer

    known = tokenizer.get_vocab()
    entries = [*sorted(known, key=lambda entry: known[entry]), *words]
    vocabulary = {entry: index for index, entry in enumerate(dict.fromkeys(entries))}
    return JiebaWordPieceTokenizer(vocabulary, model_max_length=tokenizer.model_max_length)
