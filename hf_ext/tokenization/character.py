"""The tokenizer of the character models: BERT's, as the originals have it."""

import os
from collections.abc import Mapping
from typing import Any

from transformers import BertTokenizer

from hf_ext.carried_code import TokenizerWithCode
from hf_ext.tokenization.normalizer import bert_normalizer
from hf_ext.tokenization.vocabulary import read_vocabulary
from hf_ext.tokenization.word_pieces import MAX_CHARACTERS_PER_WORD


class CharacterWordPieceTokenizer(TokenizerWithCode, BertTokenizer):
    """`transformers.BertTokenizer` with three rules of bert4keras, in which the stock class differs.

    Words of 101 to 200 letters are cut into pieces, a capital sigma that ends a word becomes a final one, and white
    space behind an entry of ``vocab.txt`` does not belong to it. What is saved has its rules in ``tokenizer.json``, so
    that it reads texts alike where this package is not installed.

    Args:
        vocab: entries to ids, or the path of a ``vocab.txt``.
        do_lower_case: lower-case the text and strip accents.
        tokenize_chinese_chars: cut at each ideograph.
        strip_accents: strip accents, by default if ``do_lower_case``.
        kwargs: as of `transformers.BertTokenizer`.

    Source: github.com/bojone/bert4keras.
    """

    needs_code = False

    def __init__(
        self,
        vocab: str | os.PathLike[str] | Mapping[str, int] | None = None,
        do_lower_case: bool = True,
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        **kwargs: Any,
    ):
        entries = read_vocabulary(vocab) if isinstance(vocab, str | os.PathLike) else vocab
        # Read by a class of Transformers' own where this one is not known, which has no token types by itself.
        kwargs.setdefault("model_input_names", list(self.model_input_names))
        super().__init__(
            vocab=entries,  # type: ignore[arg-type]
            do_lower_case=do_lower_case,
            tokenize_chinese_chars=tokenize_chinese_chars,
            strip_accents=strip_accents,
            **kwargs,
        )
        backend = self.backend_tokenizer
        backend.model.max_input_chars_per_word = MAX_CHARACTERS_PER_WORD
        backend.normalizer = bert_normalizer(
            do_lower_case, handle_chinese_chars=tokenize_chinese_chars, strip_accents=strip_accents
        )
