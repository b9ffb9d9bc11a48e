"""Which tokenizer a folder of our families gets: words if its vocabulary has words, else BERT's characters."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedConfig
from transformers.utils import cached_file

from hf_ext.tokenization.jieba_wordpiece import JiebaWordPieceTokenizer
from hf_ext.tokenization.vocabulary import has_words, read_vocabulary
from hf_ext.transformers_private import REGISTERED_TOKENIZER_CLASSES

# Arguments of `from_pretrained` that say where a file is.
LOCATION = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


class TokenizerByVocabulary:
    """Chooses a tokenizer by the vocabulary: `JiebaWordPieceTokenizer` for words, `BertTokenizer` for characters.

    Stands where a folder has a model type of ours and names no tokenizer. Never instantiated.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *inputs: Any, **kwargs: Any) -> Any:
        """Load the tokenizer of a folder or of a repository on the Hub.

        Raises:
            OSError: if there is neither a ``vocab.txt`` nor a ``tokenizer.json``.
        """
        location = {name: kwargs[name] for name in LOCATION if name in kwargs}
        for filename in ("vocab.txt", "tokenizer.json"):
            path = cached_file(
                pretrained_model_name_or_path, filename, _raise_exceptions_for_missing_entries=False, **location
            )
            if path is not None:
                if has_words(read_vocabulary(path)):
                    return JiebaWordPieceTokenizer.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)
                from transformers import BertTokenizer

                return BertTokenizer.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)
        raise OSError(f"{pretrained_model_name_or_path} has no vocabulary; wanted a vocab.txt (or a tokenizer.json)")


class RoFormerTokenizer(TokenizerByVocabulary):
    """The same where a folder names Transformers' ``RoFormerTokenizer``."""


def register_word_tokenizer() -> None:
    """Make `AutoTokenizer` know the folders that name the word tokenizer, whatever their model type.

    WoBERT's folders say ``bert`` and ``BertTokenizer`` and keep that; load them with
    `JiebaWordPieceTokenizer.from_pretrained`.
    """
    REGISTERED_TOKENIZER_CLASSES[JiebaWordPieceTokenizer.__name__] = JiebaWordPieceTokenizer


def register_tokenizers(config_class: type[PreTrainedConfig]) -> None:
    """Make `AutoTokenizer` choose by the vocabulary for a family.

    Args:
        config_class: the configuration of the family. RoFormer's also takes over the names of its stock tokenizers.
    """
    stock = config_class.model_type == "roformer"
    chooser = RoFormerTokenizer if stock else TokenizerByVocabulary
    AutoTokenizer.register(config_class, tokenizer_class=chooser, exist_ok=True)
    if stock:
        REGISTERED_TOKENIZER_CLASSES["RoFormerTokenizerFast"] = chooser
