"""CDial-GPT: a post-norm GPT whose token types are the speakers' tokens (arXiv 2008.03946).

Shapes: B batch, L tokens, H hidden.
"""

from typing import Any

from torch import Tensor, nn
from transformers.generation import GenerationMixin

from hf_ext.models.gpt_cdial.configuration_gpt_cdial import CDialGPTConfig
from hf_ext.modules.causal_lm_head import CausalLMHead
from hf_ext.modules.embeddings import PositionTable, TokenTable
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel
from hf_ext.modules.transformer_block import transformer_stack


class CDialGPTEmbeddings(nn.Module):
    """Tokens, the tokens of their speakers, and positions, all without a norm."""

    def __init__(self, config: CDialGPTConfig):
        super().__init__()
        self.word_embeddings = TokenTable(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = PositionTable(config.max_position_embeddings, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, inputs_embeds: Tensor, token_type_ids: Tensor | None, positions: tuple[Tensor, ...]) -> Tensor:
        """Add positions to ``inputs_embeds`` ``[B, L, H]``, and speakers' tokens ``[B, L]`` where they are given."""
        embedded = inputs_embeds + self.position_embeddings(*positions)
        if token_type_ids is not None:
            embedded = embedded + self.word_embeddings(token_type_ids, "token_type_ids")
        return self.dropout(embedded)


class CDialGPTPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: CDialGPTConfig
    base_model_prefix = "gpt"


class CDialGPTModel(EncoderModel, CDialGPTPreTrainedModel):
    """CDial-GPT without a head."""

    config: CDialGPTConfig

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = CDialGPTEmbeddings(config)
        self.encoder = transformer_stack(config)


CDialGPTPreTrainedModel.base_model_class = CDialGPTModel


class CDialGPTForCausalLM(CausalLMHead, CDialGPTPreTrainedModel, GenerationMixin):
    """CDial-GPT that generates the next turn of a dialogue."""
