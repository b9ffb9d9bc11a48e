"""Configuration of BERT under a UniLM or a causal mask."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig


@strict
class UniLMBertConfig(EncoderConfig):
    """Settings of BERT whose mask is a choice: SimBERT under the UniLM one, NEZHA-GEN's GPT under the causal one.

    The fields are those of :class:`EncoderConfig`, with SimBERT's defaults (kexue.fm/archives/7427).

    Attributes:
        pooler_activation: ``"linear"`` in SimBERT, ``"tanh"`` in BERT; None: no pooler.
        attention_mode: ``"unilm"``, ``"causal"`` or ``"bidirectional"``.
        type_vocab_size: number of token types (segments); 0: the model has none.
    """

    model_type = "unilm_bert"
    fixed_fields: ClassVar[dict[str, Any]] = {**EncoderConfig.fixed_fields, "position_embedding_type": "absolute"}
    readable_types: ClassVar[tuple[str, ...]] = ("bert",)

    attention_mode: str | None = "unilm"
    pooler_activation: str | None = "linear"
