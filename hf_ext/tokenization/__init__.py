"""Tokenizers of words and of characters, as the originals have them; importing this registers them by name."""

from hf_ext.tokenization.character import CharacterWordPieceTokenizer
from hf_ext.tokenization.jieba_wordpiece import JiebaWordPieceTokenizer
from hf_ext.tokenization.registration import register_named_tokenizers, register_tokenizers

__all__ = ["CharacterWordPieceTokenizer", "JiebaWordPieceTokenizer", "register_named_tokenizers", "register_tokenizers"]

register_named_tokenizers()
