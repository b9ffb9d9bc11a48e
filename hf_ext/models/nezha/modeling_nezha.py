"""NEZHA: BERT with sinusoidal relative positions in scores and values (arXiv 1909.00204), and as a decoder NEZHA-GPT.

Shapes: B batch, L tokens, N heads, D head size, E embedding size. Parameter names are those of checkpoints on the Hub.
"""

from typing import Any

from torch import Tensor
from transformers.generation import GenerationMixin

from hf_ext.models.nezha.configuration_nezha import NezhaConfig
from hf_ext.modules.attention import attend
from hf_ext.modules.causal_lm_head import CausalLMHead
from hf_ext.modules.embeddings import TokenEmbeddings
from hf_ext.modules.encoder_model import EncoderPreTrainedModel
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.token_distances import DistanceAttention, DistanceModel
from hf_ext.modules.transformer_block import transformer_stack
from hf_ext.ops.relative_attention import relative_attention
from hf_ext.ops.sinusoidal import sinusoidal_table


class NezhaSelfAttention(DistanceAttention):
    """Multi-head attention with the distance of query and key in scores and values."""

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Any, first_query: int | Tensor = 0, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with ``[B, N, L, D]``; returns ``[B, L, N, D]`` and the weights."""
        rows = 2 * self.config.max_relative_position + 1
        table = sinusoidal_table(rows, self.head_size, query.device, query.dtype)

        def relative(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
            out, weights = relative_attention(
                query, key, value, table, mask, options["scaling"], options["dropout"], first_query
            )
            return out.transpose(1, 2), weights

        dropout = self.dropout.p if self.training else 0.0
        lengths = kwargs.get("sequence_lengths")
        return attend(self, query, key, value, mask, self.scaling, dropout, lengths, function=relative)


class NezhaPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: NezhaConfig
    base_model_prefix = "nezha"
    # The values' part needs the weights, which fused kernels do not give.
    _supports_sdpa = False
    _supports_flash_attn = False
    _supports_flex_attn = False
    _supports_attention_backend = False
    # The table that the old port saved in each layer, a pooler where the head does without, and the next-sentence head.
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        r"relative_positions_encoding\.positions_encoding",
        r"embeddings\.position_ids",
        r"pooler\.",
        r"cls\.seq_relationship\.",
    ]


class NezhaModel(DistanceModel, NezhaPreTrainedModel):
    """NEZHA without a head. ``position_ids`` mark documents only: distances are counted in tokens."""

    config: NezhaConfig

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = TokenEmbeddings(config)
        self.encoder = transformer_stack(config, NezhaSelfAttention)


NezhaPreTrainedModel.base_model_class = NezhaModel


class NezhaForMaskedLM(MaskedLMHead, NezhaPreTrainedModel):
    """NEZHA with the head that predicts masked tokens."""


class NezhaForCausalLM(CausalLMHead, NezhaPreTrainedModel, GenerationMixin):
    """NEZHA that generates, as the multi-turn dialogue model NEZHA-GPT (kexue.fm/archives/7718)."""


class NezhaForSequenceClassification(SequenceClassificationHead, NezhaPreTrainedModel):
    """NEZHA that classifies or scores a text or a pair."""


class NezhaForMultipleChoice(MultipleChoiceHead, NezhaPreTrainedModel):
    """NEZHA that picks one of several texts, each scored by its first token."""


class NezhaForTokenClassification(TokenClassificationHead, NezhaPreTrainedModel):
    """NEZHA that labels each token on its own."""


class NezhaForQuestionAnswering(QuestionAnsweringHead, NezhaPreTrainedModel):
    """NEZHA that scores each token as the start and the end of the answer."""
