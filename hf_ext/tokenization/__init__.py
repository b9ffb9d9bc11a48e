"""Word tokenizers, as WoBERT, RoFormer and T5-PEGASUS have them; importing this registers them by name."""

from hf_ext.tokenization.jieba_wordpiece import JiebaWordPieceTokenizer
from hf_ext.tokenization.registration import register_tokenizers, register_word_tokenizer

__all__ = ["JiebaWordPieceTokenizer", "register_tokenizers", "register_word_tokenizer"]

register_word_tokenizer()
