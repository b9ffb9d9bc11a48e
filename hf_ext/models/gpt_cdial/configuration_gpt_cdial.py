"""Configuration of CDial-GPT."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig


@strict
class CDialGPTConfig(EncoderConfig):
    """Settings of CDial-GPT, a GPT for dialogue (arXiv 2008.03946).

    Blocks are post-norm, the embeddings have no norm, token types are the ids of the speakers' tokens and are looked up
    among the tokens, and the head is the token embedding alone. The other fields are those of :class:`EncoderConfig`.

    Attributes:
        vocab_size: number of tokens.
        attention_mode: ``"causal"``.
        layer_norm_eps: epsilon inside the blocks.
    """

    model_type = "gpt_cdial"
    fixed_fields: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed_fields,
        "position_embedding_type": "absolute",
        "shared_segment_embeddings": True,
    }

    vocab_size: int = 13088
    attention_mode: str | None = "causal"

    @property
    def bare_lm_head(self) -> bool:
        """The head is the token embedding alone."""
        return True

    @property
    def resolved_embedding_size(self) -> int:
        """Embeddings are as wide as the blocks."""
        return self.hidden_size
