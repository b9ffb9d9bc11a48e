"""Which tokenizer a RoFormer folder gets: words if its vocabulary has words, else BERT's characters."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedConfig
from transformers.models.auto.tokenization_auto import REGISTERED_TOKENIZER_CLASSES
from transformers.utils import cached_file

from hf_ext.tokenization.jieba_wordpiece import JiebaWordPieceTokenizer
from hf_ext.tokenization.vocabulary import has_words, read_vocabulary

# Arguments of `from_pretrained` that say where a file is.
LOCATION = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


class RoFormerTokenizer:
    """Chooses a tokenizer by the vocabulary: `JiebaWordPieceTokenizer` for words, `BertTokenizer` for characters.

    Stands where a folder names Transformers' ``RoFormerTokenizer``, or has the model type ``roformer`` and names no
    tokenizer. Like `AutoTokenizer` it is never instantiated.
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


def register_word_tokenizer() -> None:
    """Make `AutoTokenizer` know the folders that name the word tokenizer, whatever their model type.

    WoBERT's folders say ``bert`` and ``BertTokenizer`` and keep that; load them with
    `JiebaWordPieceTokenizer.from_pretrained`.
    """
    REGISTERED_TOKENIZER_CLASSES[JiebaWordPieceTokenizer.__name__] = JiebaWordPieceTokenizer


def register_tokenizers(config_class: type[PreTrainedConfig]) -> None:
    """Make `AutoTokenizer` choose by the vocabulary for RoFormer.

    Args:
        config_class: the configuration whose folders are RoFormer's.
    """
    AutoTokenizer.register(config_class, tokenizer_class=RoFormerTokenizer, exist_ok=True)
    REGISTERED_TOKENIZER_CLASSES["RoFormerTokenizerFast"] = RoFormerTokenizer
