"""Which tokenizer a folder of T5-PEGASUS gets, and one that names T5's."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedConfig

from hf_ext.tokenization.registration import RoFormerTokenizer, find_file, know_model_type
from hf_ext.transformers_private import REGISTERED_TOKENIZER_CLASSES

# The model has no token types, and generation refuses what the model does not take.
MODEL_INPUT_NAMES = ("input_ids", "attention_mask")
# T5's own special tokens, which its folders name, are not in the vocabulary.
_SPECIAL: dict[str, Any] = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "bos_token": None,
    "eos_token": None,
    "extra_special_tokens": [],
    "additional_special_tokens": [],
}
_FILES_OF_T5 = ("spiece.model", "tokenizer.json")


class T5PegasusTokenizer:
    """Chooses by the vocabulary: `JiebaWordPieceTokenizer` for words, `CharacterWordPieceTokenizer` for characters.

    Stands where a folder has the model type ``t5_pegasus`` and names no tokenizer. Gives ``input_ids`` and
    ``attention_mask``. Like `AutoTokenizer` it is never instantiated.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *inputs: Any, **kwargs: Any) -> Any:
        """Load the tokenizer of a folder or of a repository on the Hub.

        Raises:
            OSError: if there is no vocabulary.
        """
        kwargs = {"model_input_names": list(MODEL_INPUT_NAMES), **kwargs}
        return RoFormerTokenizer.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)


class T5FolderTokenizer:
    """Stands where a folder names ``T5Tokenizer``: T5's, unless BERT's ``vocab.txt`` is all that the folder has.

    From that T5's tokenizer would be made without a vocabulary. T5-PEGASUS is on the Hub in such folders.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *inputs: Any, **kwargs: Any) -> Any:
        """Load the tokenizer of a folder or of a repository on the Hub."""

        def has(filename: str) -> bool:
            return find_file(pretrained_model_name_or_path, filename, **kwargs) is not None

        if has("vocab.txt") and not any(map(has, _FILES_OF_T5)):
            kwargs = {**_SPECIAL, **kwargs}
            return T5PegasusTokenizer.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)
        from transformers import T5Tokenizer

        return T5Tokenizer.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)


def register_tokenizers(config_class: type[PreTrainedConfig]) -> None:
    """Make `AutoTokenizer` know T5-PEGASUS, also in folders that name T5's tokenizer.

    Args:
        config_class: the configuration whose folders are T5-PEGASUS'.
    """
    know_model_type(config_class.model_type)
    AutoTokenizer.register(config_class, tokenizer_class=T5PegasusTokenizer, exist_ok=True)
    for name in ("T5Tokenizer", "T5TokenizerFast"):
        REGISTERED_TOKENIZER_CLASSES[name] = T5FolderTokenizer
