"""Configuration of T-TA."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig


@strict
class TTAConfig(EncoderConfig):
    """Settings of T-TA, which predicts every token of a text in one pass (arXiv 2004.08097; kexue.fm/archives/7661).

    The defaults are those of the released model; the other fields are those of :class:`EncoderConfig`.

    Attributes:
        vocab_size: number of tokens.
        hidden_size: width H.
        num_hidden_layers: number of blocks.
        num_attention_heads: number of heads N.
        intermediate_size: width of the feed-forward layer.
        max_position_embeddings: number of positions that there are vectors for.
        type_vocab_size: 0, as there are no token types.
        bos_token_id: id of ``[SOS]``, with which a text begins.
        eos_token_id: id of ``[EOS]``, with which a text ends.
        query_input: what the queries of the first block are made of: ``"mask_token"``, the vector of that token and
            those of the positions, as in the released code, or ``"position"``, those of the positions alone, as in the
            article.
        self_mask: whether a token is hidden from its own query. Without it nothing can be predicted; the article drops
            it in fine-tuning.
        mask_token_id: id of the token that stands in the queries under ``query_input="mask_token"``.
    """

    model_type = "t_ta"
    fixed_fields: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed_fields,
        "attention_mode": "bidirectional",
        "is_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "absolute",
        "type_vocab_size": 0,
    }

    vocab_size: int = 29530
    hidden_size: int = 512
    num_hidden_layers: int = 3
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    max_position_embeddings: int = 128
    type_vocab_size: int = 0
    bos_token_id: int | None = 3
    eos_token_id: int | list[int] | None = 1
    query_input: str = "mask_token"
    self_mask: bool = True
    mask_token_id: int = 4

    @property
    def resolved_attention_mode(self) -> str:
        """``"all_but_self"``, or ``"bidirectional"`` without ``self_mask``."""
        return "all_but_self" if self.self_mask else "bidirectional"

    def validate_queries(self) -> None:
        """Refuse queries that cannot be made.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        if self.query_input not in ("mask_token", "position"):
            raise ValueError(f'query_input must be "mask_token" or "position", got {self.query_input!r}')
        if self.query_input == "mask_token" and not 0 <= self.mask_token_id < self.vocab_size:
            raise ValueError(
                f'mask_token_id must be in [0, vocab_size={self.vocab_size}) under query_input="mask_token", '
                f"got {self.mask_token_id}"
            )
        if self.embedding_size not in (None, self.hidden_size):
            raise ValueError(
                "embedding_size must equal hidden_size in a TTAConfig, as keys and values of all blocks come of the "
                f"embeddings, got embedding_size={self.embedding_size} and hidden_size={self.hidden_size}"
            )
