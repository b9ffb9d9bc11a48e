"""RoFormer with linear attention: the model and its heads (kexue.fm/archives/7546, 7921, 8338, 8265).

Shapes: B batch, L tokens, M features.
"""

from functools import wraps
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from hf_ext.models.linear_roformer.cache_linear_roformer import LinearRoFormerCache
from hf_ext.models.linear_roformer.configuration_linear_roformer import LinearRoFormerConfig
from hf_ext.models.linear_roformer.layers_linear_roformer import LinearSelfAttention, RandomFeatures
from hf_ext.modules.causal_lm_head import CausalLMHead
from hf_ext.modules.embeddings import TokenEmbeddings
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.rotary_positions import rotations
from hf_ext.modules.transformer_block import TransformerLayer, transformer_stack
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.packing import Packing
from hf_ext.ops.row_alignment import RowAlignment


class LinearRoFormerPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: LinearRoFormerConfig
    base_model_prefix = "linear_roformer"
    # None of the library's back ends is linear.
    _supports_sdpa = False
    _supports_flash_attn = False
    _supports_flex_attn = False
    _supports_attention_backend = False
    _can_record_outputs = {"hidden_states": TransformerLayer}  # noqa: RUF012
    # Tokens cannot be taken back from the cache, by which the library refuses assisted generation.
    _is_stateful = True


class LinearRoFormerModel(EncoderModel, LinearRoFormerPreTrainedModel):
    """RoFormer with linear attention, without a head."""

    config: LinearRoFormerConfig

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = TokenEmbeddings(config)
        self.encoder = transformer_stack(config, LinearSelfAttention)

    @wraps(EncoderModel.forward)
    def forward(  # type: ignore[override]  # noqa: D102
        self, *args: Any, **kwargs: Any
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        if self._wants("attentions", kwargs):
            raise ValueError(
                "output_attentions must be False, as linear attention has no attention weights to show, got True"
            )
        if self.training and self.config.redraw_interval is not None:
            # Here and not in the layers, which checkpointing runs twice, with the same features.
            self._count_pass()
        return super().forward(*args, **kwargs)

    def position_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """Rotations of all layers, cos and sin ``[B or 1, L, M/2]`` each, in float32 or better; or none."""
        return rotations(self.config, position_ids, self.dtype) if self.config.use_rotary else ()

    def new_cache(self) -> Cache:
        """An empty one of constant size."""
        return LinearRoFormerCache()

    def visibility(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        documents: Tensor | None,
        packing: Packing | None,
        cache: Cache | None,
    ) -> tuple[Any, dict[str, Any]]:
        """Which tokens are real, or where the texts of packed rows lie; arguments and result as in the base class.

        Raises:
            ValueError: for a mask or a cache of another kind, and packed rows in a graph.
        """
        length = hidden_states.shape[1]
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError(
                "attention_mask must have shape [B, L], as linear attention cannot choose the keys of each query, "
                f"got {list(attention_mask.shape)}"
            )
        if cache is not None:
            if self.config.resolved_attention_mode != "causal":
                raise ValueError(
                    'cache needs attention_mode="causal", as a bidirectional model has no next step, '
                    f"got {self.config.attention_mode!r}"
                )
            if not isinstance(cache, LinearRoFormerCache):
                raise ValueError(f"cache must be a LinearRoFormerCache, got a {type(cache).__name__}")
            cache.columns += length
        if packing is not None:
            lengths = packing.cu_seq_lens.diff()
            documents = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)[None]
        if documents is not None:
            if in_graph():
                raise ValueError(
                    "packed rows (position_ids without attention_mask) cannot be compiled under linear attention: how "
                    "many texts there are is known from the data alone; give attention_mask"
                )
            return RowAlignment.from_documents(documents), {}
        return None if attention_mask is None else attention_mask[:, -length:] != 0, {}

    def _count_pass(self) -> None:
        if in_graph():
            raise ValueError(
                "redraw_interval must be None in a compiled graph, which holds its random features fixed, "
                f"got {self.config.redraw_interval}"
            )
        for module in self.encoder.modules():
            if isinstance(module, RandomFeatures):
                module.count_pass()


LinearRoFormerPreTrainedModel.base_model_class = LinearRoFormerModel


class LinearRoFormerForMaskedLM(MaskedLMHead, LinearRoFormerPreTrainedModel):
    """RoFormer with linear attention and the head that predicts masked tokens."""


class LinearRoFormerForCausalLM(CausalLMHead, LinearRoFormerPreTrainedModel, GenerationMixin):
    """RoFormer with linear attention that generates left to right, from a state of constant size."""

    def _supports_default_dynamic_cache(self) -> bool:  # type: ignore[override]
        """False: the model makes its cache itself."""
        return False


class LinearRoFormerForSequenceClassification(SequenceClassificationHead, LinearRoFormerPreTrainedModel):
    """RoFormer with linear attention that classifies or scores a text or a pair."""


class LinearRoFormerForMultipleChoice(MultipleChoiceHead, LinearRoFormerPreTrainedModel):
    """RoFormer with linear attention that picks one of several texts, each scored by its first token."""


class LinearRoFormerForTokenClassification(TokenClassificationHead, LinearRoFormerPreTrainedModel):
    """RoFormer with linear attention that labels each token on its own."""


class LinearRoFormerForQuestionAnswering(QuestionAnsweringHead, LinearRoFormerPreTrainedModel):
    """RoFormer with linear attention that scores each token as the start and the end of the answer."""
