"""The tokenizer of a release."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from hf_ext.conversion.choices import Choice
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.release import Release

_SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_NEEDED = ("pad_token", "unk_token", "cls_token", "sep_token")


def make_tokenizer(
    release: Release, choice: Choice, config: PreTrainedConfig, options: Mapping[str, Any]
) -> PreTrainedTokenizerBase:
    """A tokenizer that gives the release's ids, by words (jieba) or by characters as BERT's; `options`: its arguments.

    Raises:
        ConversionError: the vocabulary lacks a special token, or the tokenizer has other ids.
    """
    ids = release.vocabulary
    named = {name: options.get(name, token) for name, token in _SPECIAL.items()}
    if missing := [named[name] for name in _NEEDED if named[name] not in ids]:
        raise ConversionError(f"{release.vocabulary_file} lacks {', '.join(missing)}")
    # A special token that the vocabulary lacks would be added behind its end, where the model has no embedding.
    special = {name: token if token in ids else None for name, token in named.items()}
    options = dict(options) | {"do_lower_case": True, **special}
    if hasattr(config, "max_position_embeddings"):
        options["model_max_length"] = config.max_position_embeddings
    tokenizer: PreTrainedTokenizerBase
    if choice.value == "word":
        from hf_ext.tokenization import JiebaWordPieceTokenizer

        tokenizer = JiebaWordPieceTokenizer(vocab=ids, **options)
    else:
        from hf_ext.tokenization.character import CharacterWordPieceTokenizer

        tokenizer = CharacterWordPieceTokenizer(vocab=ids, **options)
    if tokenizer.get_vocab() != ids:
        raise ConversionError(f"{type(tokenizer).__name__} does not give the ids of {release.vocabulary_file}")
    return tokenizer
