"""Which tokenizer a folder of our families gets: by words if its vocabulary has words, else by characters."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, BertTokenizer, PreTrainedConfig
from transformers.utils import cached_file

from hf_ext.tokenization.character import CharacterWordPieceTokenizer
from hf_ext.tokenization.jieba_wordpiece import JiebaWordPieceTokenizer
from hf_ext.tokenization.vocabulary import has_words, read_vocabulary
from hf_ext.transformers_private import REGISTERED_TOKENIZER_CLASSES

# Arguments of `from_pretrained` that say where a file is.
LOCATION = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")

# The model types of our families, whose characters are read as the originals read them.
_MODEL_TYPES: set[str] = set()


def find_file(folder: str | Path, filename: str, **arguments: Any) -> str | None:
    """Where a file of a folder or of a repository on the Hub is; None if it cannot be had.

    Args:
        folder: path or name.
        filename: of the file.
        arguments: those of ``from_pretrained``, of which the `LOCATION` counts.
    """
    location = {name: arguments[name] for name in LOCATION if name in arguments}
    try:
        return cached_file(folder, filename, **location)
    except OSError:
        return None


class TokenizerByVocabulary:
    """Chooses a tokenizer by the vocabulary.

    `JiebaWordPieceTokenizer` for words, `CharacterWordPieceTokenizer` for characters. Stands where a folder has a model
    type of ours and names no tokenizer. Never instantiated.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *inputs: Any, **kwargs: Any) -> Any:
        """Load the tokenizer of a folder or of a repository on the Hub.

        Raises:
            OSError: if there is neither a ``vocab.txt`` nor a ``tokenizer.json``.
        """
        for filename in ("vocab.txt", "tokenizer.json"):
            path = find_file(pretrained_model_name_or_path, filename, **kwargs)
            if path is not None:
                chosen = JiebaWordPieceTokenizer if has_words(read_vocabulary(path)) else CharacterWordPieceTokenizer
                return chosen.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)
        raise OSError(f"{pretrained_model_name_or_path} has no vocabulary; wanted a vocab.txt (or a tokenizer.json)")


class RoFormerTokenizer(TokenizerByVocabulary):
    """The same where a folder names Transformers' ``RoFormerTokenizer``."""


class BertFolderTokenizer:
    """Stands where a folder names ``BertTokenizer``: Transformers' own, unless the model is of a family of ours."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *inputs: Any, **kwargs: Any) -> Any:
        """Load the tokenizer of a folder or of a repository on the Hub."""
        location = {name: kwargs[name] for name in LOCATION if name in kwargs}
        try:
            settings, _ = PreTrainedConfig.get_config_dict(pretrained_model_name_or_path, **location)
        except (OSError, ValueError):
            # A tokenizer may stand alone.
            settings = {}
        chosen = CharacterWordPieceTokenizer if settings.get("model_type") in _MODEL_TYPES else BertTokenizer
        return chosen.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)


def register_named_tokenizers() -> None:
    """Make `AutoTokenizer` know the folders that name a tokenizer of ours, whatever their model type.

    WoBERT's folders say ``bert`` and ``BertTokenizer`` and keep that; load them with
    `JiebaWordPieceTokenizer.from_pretrained`.
    """
    for tokenizer_class in (JiebaWordPieceTokenizer, CharacterWordPieceTokenizer):
        REGISTERED_TOKENIZER_CLASSES[tokenizer_class.__name__] = tokenizer_class
    for name in ("BertTokenizer", "BertTokenizerFast"):
        REGISTERED_TOKENIZER_CLASSES[name] = BertFolderTokenizer


def know_model_type(model_type: str) -> None:
    """Read folders of a model type that name ``BertTokenizer`` as the originals do."""
    _MODEL_TYPES.add(model_type)


def register_tokenizers(config_class: type[PreTrainedConfig]) -> None:
    """Make `AutoTokenizer` choose by the vocabulary for a family.

    Args:
        config_class: the configuration of the family. RoFormer's also takes over the names of its stock tokenizers.
    """
    know_model_type(config_class.model_type)
    stock = config_class.model_type == "roformer"
    chooser = RoFormerTokenizer if stock else TokenizerByVocabulary
    AutoTokenizer.register(config_class, tokenizer_class=chooser, exist_ok=True)
    if stock:
        REGISTERED_TOKENIZER_CLASSES["RoFormerTokenizerFast"] = chooser
