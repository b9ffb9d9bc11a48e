"""Character vocabularies for models trained from scratch."""

import string
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tokenizers.pre_tokenizers import BertPreTokenizer

from hf_ext.tokenization.normalizer import bert_normalizer

if TYPE_CHECKING:
    from hf_ext.tokenization.character import CharacterWordPieceTokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def build_char_vocabulary(texts: Iterable[str], min_count: int = 1, do_lower_case: bool = True) -> list[str]:
    """The entries of a WordPiece vocabulary that cuts every text into characters.

    Args:
        texts: texts to take characters from.
        min_count: a rarer character is left out, and read as [UNK]; with 1 a model never sees [UNK] in training.
        do_lower_case: as the tokenizer that uses the vocabulary has it; lower-cases and strips accents.

    Returns:
        The special tokens, the characters and those of ASCII in order, then their ``##`` forms as far as they can stand
        inside a word (Latin letters, digits, kana, ...).
    """
    normalizer = bert_normalizer(do_lower_case)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    ascii_characters = normalizer.normalize_str(string.digits + string.ascii_letters + string.punctuation)
    known = {character for character, count in counts.items() if count >= min_count} | set(ascii_characters)
    characters = sorted(character for character in known if not character.isspace())
    splitter = BertPreTokenizer()
    inner = [
        f"##{character}"
        for character in characters
        if len(splitter.pre_tokenize_str(normalizer.normalize_str(character * 2))) == 1
    ]
    return [*SPECIAL_TOKENS, *characters, *inner]


def build_char_tokenizer(
    texts: Iterable[str], min_count: int = 1, do_lower_case: bool = True, **options: Any
) -> "CharacterWordPieceTokenizer":
    """A BERT tokenizer of single characters, made from texts; ``options`` are its own.

    Its vocabulary is that of :func:`build_char_vocabulary`.
    """
    from hf_ext.tokenization.character import CharacterWordPieceTokenizer

    vocabulary = build_char_vocabulary(texts, min_count, do_lower_case)
    vocab = {entry: index for index, entry in enumerate(vocabulary)}
    return CharacterWordPieceTokenizer(vocab=vocab, do_lower_case=do_lower_case, **options)
