"""URPE: attention with a bias of the distance before softmax and a gain of it after (arXiv 2205.13401).

The gain takes from a row of weights that it adds up to 1, without which no relative position tells equal tokens apart
(kexue.fm/archives/9105). Shapes: B batch, L tokens, N heads, D head size, R rows of a table, Q queries, S keys.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.generation import GenerationMixin

from hf_ext.models.urpe.configuration_urpe import URPEConfig
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
from hf_ext.modules.normalised_attention import normalised_attention_forward
from hf_ext.modules.token_distances import DistanceAttention, DistanceModel
from hf_ext.modules.transformer_block import LayerStack, TransformerLayer
from hf_ext.ops.distance_buckets import distance_buckets

Tables = tuple[Tensor, Tensor | None]
"""Bias and gain ``[R, N]`` of each row of distances; no gain where there is none."""


class GainTable(nn.Embedding):
    """A gain for each row of distances and each head."""

    def __init__(self, rows: int, heads: int, start: float | None):
        super().__init__(rows, heads)
        self.start = start

    def init_weights(self) -> None:
        """Begin at one number, if there is one."""
        if self.start is not None:
            init.constant_(self.weight, self.start)


class DistanceTables(nn.Module):
    """The numbers that a distance adds to scores and multiplies weights by."""

    def __init__(self, config: URPEConfig):
        super().__init__()
        self.relu = config.gain_relu
        self.bias = nn.Embedding(config.table_rows, config.num_attention_heads)
        if config.gain is not None:
            self.gain = GainTable(config.table_rows, config.num_attention_heads, config.gain_init)

    def forward(self) -> Tables:
        """Bias and gain ``[R, N]``."""
        if not hasattr(self, "gain"):
            return self.bias.weight, None
        return self.bias.weight, self.gain.weight.relu() if self.relu else self.gain.weight


class URPESelfAttention(DistanceAttention):
    """Multi-head attention with a bias of distances before its normalisation and a gain of them after it."""

    def __init__(self, config: URPEConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        if not config.shared_tables:
            self.tables = DistanceTables(config)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Any,
        first_query: int | Tensor = 0,
        tables: Tables | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with ``[B, N, L, D]``; returns ``[B, L, N, D]`` and the weights in eager mode.

        ``tables`` are those that all layers share, where they do.
        """
        numbers = self.tables() if tables is None else tables

        def relative(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
            rows = self.rows(query.shape[2], key.shape[2], first_query, query.device)
            options["bias"], options["gain"] = (None if x is None else F.embedding(rows, x).T for x in numbers)
            options["normalization"] = self.config.attention_normalization
            return normalised_attention_forward(module, query, key, value, mask, **options)

        dropout = self.dropout.p if self.training else 0.0
        lengths = kwargs.get("sequence_lengths")
        return attend(self, query, key, value, mask, self.scaling, dropout, lengths, function=relative)

    def rows(self, queries: int, keys: int, first_query: int | Tensor, device: torch.device) -> Tensor:
        """The row of each distance ``j - i`` that there is, ``[Q + S - 1]``, from the last query and the first key."""
        config: Any = self.config
        distance = torch.arange(queries + keys - 1, device=device) - (queries - 1) - first_query
        if config.relative_buckets is not None:
            return distance_buckets(distance, config.relative_buckets, config.relative_distance)
        last = config.max_position_embeddings - 1
        return distance.clamp(-last, last) + last


class URPEEncoder(LayerStack):
    """The blocks, and the tables if they share them."""

    def __init__(self, config: URPEConfig):
        super().__init__([TransformerLayer(config, i, URPESelfAttention) for i in range(config.num_hidden_layers)])
        self.tables = DistanceTables(config) if config.shared_tables else None

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Run ``[B, L, H]`` through all blocks."""
        tables = None if self.tables is None else self.tables()
        return super().forward(hidden_states, *args, tables=tables, **kwargs)


class URPEPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: URPEConfig
    base_model_prefix = "urpe"
    # The gain comes after softmax, where fused kernels are done.
    _supports_sdpa = False
    _supports_flash_attn = False
    _supports_attention_backend = False


class URPEModel(DistanceModel, URPEPreTrainedModel):
    """URPE without a head. ``position_ids`` mark documents only: distances are counted in tokens."""

    config: URPEConfig

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = TokenEmbeddings(config)
        self.encoder = URPEEncoder(config)


URPEPreTrainedModel.base_model_class = URPEModel


class URPEForMaskedLM(MaskedLMHead, URPEPreTrainedModel):
    """URPE with the head that predicts masked tokens."""

    _tp_plan = None


class URPEForCausalLM(CausalLMHead, URPEPreTrainedModel, GenerationMixin):
    """URPE that generates: left to right, or as UniLM (``config.attention_mode``)."""

    _tp_plan = None


class URPEForSequenceClassification(SequenceClassificationHead, URPEPreTrainedModel):
    """URPE that classifies or scores a text or a pair."""


class URPEForMultipleChoice(MultipleChoiceHead, URPEPreTrainedModel):
    """URPE that picks one of several texts, each scored by its first token."""


class URPEForTokenClassification(TokenClassificationHead, URPEPreTrainedModel):
    """URPE that labels each token on its own."""


class URPEForQuestionAnswering(QuestionAnsweringHead, URPEPreTrainedModel):
    """URPE that scores each token as the start and the end of the answer."""
