"""Configuration of T5-PEGASUS, and the folders typed mt5 in which its weights are kept on the Hub."""

import logging
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import MT5Config as BuiltInMT5Config
from transformers.activations import ACT2FN

from hf_ext.carried_code import ConfigWithCode
from hf_ext.modules.encoder_config import check_fixed_fields, check_model_type
from hf_ext.tokenization.registration import LOCATION, find_file
from hf_ext.tokenization.vocabulary import read_vocabulary

logger = logging.getLogger(__name__)

# T5-PEGASUS begins a summary with [CLS] and ends it with [SEP].
_TOKENS = {"pad_token_id": "[PAD]", "decoder_start_token_id": "[CLS]", "eos_token_id": "[SEP]"}
# What such a folder says of mT5: its tokenizer, its output matrix (the one of T5-PEGASUS is never tied), and what the
# config makes of `feed_forward_proj`.
_OF_MT5 = ("model_type", "architectures", "tokenizer_class", "tie_word_embeddings", "dense_act_fn", "is_gated_act")

# Numbers of tokens, without and with those that fill up the matrix.
_VOCABULARIES_OF_MT5 = (250100, 250112)


@strict
class T5PegasusConfig(ConfigWithCode, BuiltInMT5Config):
    """Settings of T5-PEGASUS (kexue.fm/archives/8209): those of mT5, which has the fields not named here.

    The defaults are those of the base model.

    Attributes:
        vocab_size: number of tokens.
        d_model: width H.
        d_kv: size D of an attention head; None: H / ``num_heads``.
        d_ff: width of the feed-forward layer.
        num_layers: number of blocks of the encoder, and of the decoder unless ``num_decoder_layers`` says otherwise.
        num_heads: number of heads N.
        feed_forward_proj: activation of the feed-forward layer; ``"gated-gelu"`` has the erf form of gelu, where mT5
            has the tanh form.
        tie_word_embeddings: whether the output matrix is the token embedding, which it is in no released model.
        pad_token_id: id of [PAD].
        decoder_start_token_id: id of [CLS], with which the decoder starts.
        eos_token_id: id of [SEP], which ends a generated text.
    """

    model_type = "t5_pegasus"
    # Fields of relatives under which other numbers would be right.
    fixed_fields: ClassVar[dict[str, Any]] = {
        "position_embedding_type": "relative",
        "normalization": "softmax",
        "attention_scale": False,
        "norm_position": "pre",
        "residual_scale": 1.0,
        "is_glu": None,
        "shared_segment_embeddings": False,
        "hierarchical_position": False,
    }

    vocab_size: int = 50000
    d_model: int = 768
    d_kv: int | None = None  # type: ignore[assignment]
    d_ff: int = 2048
    num_layers: int = 12
    num_heads: int = 12
    tie_word_embeddings: bool = False
    pad_token_id: int | None = 0
    decoder_start_token_id: int | None = 101
    eos_token_id: int | list[int] | None = 102

    def __post_init__(self, **kwargs: Any) -> None:
        tied = self.tie_word_embeddings
        if self.d_kv is None:
            self.d_kv = self.d_model // self.num_heads
        super().__post_init__(**kwargs)
        # mT5's config ties always, and takes "gelu" for the tanh form.
        self.tie_word_embeddings = tied
        self.dense_act_fn = self.feed_forward_proj.removeprefix("gated-")

    def validate_architecture(self) -> None:
        """Refuse settings that cannot be built.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        super().validate_architecture()
        check_fixed_fields(self, self.fixed_fields)
        if self.feed_forward_proj.removeprefix("gated-") not in ACT2FN:
            raise ValueError(
                f"feed_forward_proj must be an activation, or gated-<activation>, of {', '.join(sorted(ACT2FN))}; "
                f"got {self.feed_forward_proj!r}"
            )
        if self.decoder_start_token_id is None:
            raise ValueError("decoder_start_token_id must be the id of [CLS], with which the decoder starts, got None")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of settings, as `transformers.PreTrainedConfig.from_dict` makes it.

        Raises:
            ValueError: if the settings are those of another model type.
        """
        check_model_type(cls, config_dict)
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        """The settings of a folder; one typed mt5 gives what it says of T5-PEGASUS.

        Raises:
            ValueError: if a folder typed mt5 has no ``vocab.txt`` with [CLS] and [SEP], and so is an mT5.
        """
        settings, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if settings.get("model_type") == "mt5":
            location = {name: kwargs[name] for name in LOCATION if name in kwargs}
            ids = _token_ids(pretrained_model_name_or_path, **location)
            if ids is None:
                raise ValueError(
                    f"{pretrained_model_name_or_path} must have a vocab.txt with {', '.join(_TOKENS.values())} to be "
                    "T5-PEGASUS, got a folder typed mt5 without one: load it with transformers.MT5Config"
                )
            settings = _of_t5_pegasus(settings, ids)
        return settings, unused


@strict
class MT5Config(BuiltInMT5Config):
    """Stands for the model type mt5: reads a folder with BERT's ``vocab.txt`` as T5-PEGASUS, any other as mT5.

    Such another is [google/mt5-small](https://huggingface.co/google/mt5-small).

    T5-PEGASUS is on the Hub under the type of mT5, which would load it and compute something else.
    """

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config of a folder, which `AutoConfig` names in ``name_or_path``."""
        folder = kwargs.get("name_or_path")
        # With mT5's own vocabulary there is no other to ask the Hub for. T5-PEGASUS' folders name T5's tokenizer too.
        own = config_dict.get("vocab_size", BuiltInMT5Config.vocab_size) in _VOCABULARIES_OF_MT5
        ids = folder and not own and _token_ids(folder, revision=config_dict.get("_commit_hash"))
        if not ids:
            return BuiltInMT5Config.from_dict(config_dict, **kwargs)
        _warn(str(folder))
        return T5PegasusConfig.from_dict(_of_t5_pegasus(config_dict, ids), **kwargs)


def _token_ids(folder: Any, **location: Any) -> dict[str, int] | None:
    """The ids of the tokens that T5-PEGASUS needs; None where a folder has no BERT vocabulary."""
    if Path(folder).is_file():
        folder = Path(folder).parent
    path = find_file(folder, "vocab.txt", **location)
    vocabulary = read_vocabulary(path) if path is not None else {}
    ids = {field: vocabulary[token] for field, token in _TOKENS.items() if token in vocabulary}
    return ids if len(ids) == len(_TOKENS) else None


def _of_t5_pegasus(settings: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    kept = {name: value for name, value in settings.items() if name not in _OF_MT5}
    return {**kept, **ids, "model_type": T5PegasusConfig.model_type}


@cache
def _warn(folder: str) -> None:
    logger.warning(
        "%s is typed mt5 and has BERT's vocab.txt: read as T5-PEGASUS. Weights that were fine-tuned as an mT5 "
        "give what they were trained to give under transformers.MT5ForConditionalGeneration alone.",
        folder,
    )
