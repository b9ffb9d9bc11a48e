"""FLASH: gated attention units in linear time, the model and its heads (arXiv 2202.10447; kexue.fm/archives/8934).

Shapes: B batch, L tokens, R rows of M tokens of the aligned batch, H hidden, E embedding size, K key size.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions
from transformers.utils import TransformersKwargs

from hf_ext.models.flash.cache_flash import FLASHCache
from hf_ext.models.flash.configuration_flash import FLASHConfig
from hf_ext.models.flash.layers_flash import CosSin, FLASHEmbeddings, FLASHLayer, Surroundings, make_flash_norm
from hf_ext.modules.causal_lm_head import CausalLMHead
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel, one_input
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.modules.rotary_positions import rotations
from hf_ext.modules.transformer_block import LayerStack
from hf_ext.ops.graphs import in_graph, is_exported
from hf_ext.ops.masks import document_ids
from hf_ext.ops.pooling import first_token
from hf_ext.ops.rotary import rotary_cos_sin
from hf_ext.ops.row_alignment import RowAlignment
from hf_ext.transformers_private import capture_outputs, merge_with_config_defaults

_KNOWN_KWARGS = frozenset(TransformersKwargs.__annotations__)


class FLASHPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: FLASHConfig
    base_model_prefix = "flash"
    _no_split_modules = ["FLASHLayer"]  # noqa: RUF012
    # Squared ReLU is not one of the library's back ends.
    _supports_sdpa = False
    _supports_flash_attn = False
    _supports_flex_attn = False
    _supports_attention_backend = False
    _can_record_outputs = {"hidden_states": FLASHLayer}  # noqa: RUF012

    @property
    def _is_stateful(self) -> bool:  # type: ignore[override]
        """Whether tokens cannot be taken back from the cache, by which the library refuses assisted generation."""
        return self.config.attention == "mixed_chunk"


class FLASHModel(EncoderModel, FLASHPreTrainedModel):
    """FLASH without a head."""

    config: FLASHConfig

    def build(self, config: Any) -> None:
        """Make embeddings, units and the last norm."""
        self.embeddings = FLASHEmbeddings(config)
        self.encoder = LayerStack([FLASHLayer(config, i) for i in range(config.num_hidden_layers)])
        self.norm = make_flash_norm(config)

    @merge_with_config_defaults
    @capture_outputs
    @takes_past_key_values
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Encode tokens.

        Args:
            input_ids: ``[B, L]`` token ids; or give ``inputs_embeds``.
            attention_mask: ``[B, L]``, 1 at real tokens; with a cache also those before, ``[B, S]``. None: no padding.
            token_type_ids: ``[B, L]``; None: all 0.
            inputs_embeds: ``[B, L, E]`` in place of ``input_ids``.
            position_ids: ``[B or 1, L]``, by which queries and keys are turned; None: counted from 0. Without
                ``attention_mask``, a position that does not grow starts a new document that neither sees nor is seen by
                the others (packed sequences).
            cache: what causal models keep of the tokens before.
            use_cache: whether to return the cache; without effect while training.
            **kwargs: ``output_hidden_states`` and others that all models take.

        Returns:
            ``last_hidden_state`` ``[B, L, H]``, ``pooler_output`` ``[B, H]`` or None, and the cache.

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if not just one of ``input_ids`` and ``inputs_embeds`` is given, an argument does not fit, or
                attentions are asked for, which its units do not have as a whole.
        """
        # Heads that serve all families pass these on.
        for name in ("encoder_hidden_states", "encoder_attention_mask"):
            if kwargs.pop(name, None) is not None:
                raise ValueError(f"{name} must be None, as FLASH has no cross attention")
        if unknown := [name for name in kwargs if name not in _KNOWN_KWARGS]:
            raise TypeError(f"{type(self).__name__}.forward() got unexpected keyword arguments {sorted(unknown)}")
        one_input(input_ids, inputs_embeds)
        if self._wants("attentions", kwargs):
            raise ValueError("output_attentions must be False, as FLASH has no attention weights to show, got True")
        self._check_cache(cache)
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError(f"attention_mask must have shape [B, L], got {list(attention_mask.shape)}")

        hidden_states = self.embeddings.word_embeddings(input_ids) if input_ids is not None else inputs_embeds
        assert hidden_states is not None
        batch_size = hidden_states.shape[0]
        hidden_states = self.embeddings(hidden_states, token_type_ids)
        if hasattr(self, "embeddings_project"):
            hidden_states = self.embeddings_project(hidden_states)

        documents = None
        if position_ids is not None and attention_mask is None and cache is None:
            documents = self._find_documents(position_ids.expand(batch_size, -1))
        # Packed rows have no next step that a cache would serve.
        causal = self.config.resolved_attention_mode == "causal"
        if use_cache and causal and documents is None and not self.training and cache is None:
            cache = FLASHCache() if self._chunked else DynamicCache(config=self.config)

        alignment = None
        if self._chunked and documents is not None:
            alignment = self._align_documents(documents)
        elif self._chunked and attention_mask is not None:
            alignment = RowAlignment.from_mask(attention_mask[:, -hidden_states.shape[1] :])
        aligned = hidden_states if alignment is None else alignment.align(hidden_states)
        if alignment is not None and position_ids is not None:
            position_ids = alignment.align(position_ids.expand(batch_size, -1))
        look = self._look_around_chunks if self._chunked else self._look_around
        real = alignment.real if alignment is not None else attention_mask
        surroundings = look(aligned, position_ids, real, documents, cache)

        if alignment is not None and self._wants("hidden_states", kwargs):
            # What hooks record between the layers is to be in the caller's shape and part of the graph.
            hidden_states = self.encoder(hidden_states, surroundings, cache=cache, alignment=alignment)
        else:
            hidden_states = self.encoder(aligned, surroundings, cache=cache)
            if alignment is not None:
                hidden_states = alignment.restore(hidden_states, batch_size)
        hidden_states = self.norm(hidden_states)
        if isinstance(cache, FLASHCache):
            cache.columns += hidden_states.shape[1]
        pooled = self.pooler(first_token(hidden_states, attention_mask)) if self.pooler is not None else None
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden_states, pooler_output=pooled, cache=cache
        )

    def position_tensors(self, position_ids: Tensor) -> CosSin:
        """Rotations of all layers, cos and sin ``[B or 1, L, K/2]`` each, in float32 or better."""
        return rotations(self.config, position_ids, self.dtype)

    @property
    def _chunked(self) -> bool:
        return self.config.attention == "mixed_chunk"

    def _check_cache(self, cache: Cache | None) -> None:
        if cache is None:
            return
        if self.config.resolved_attention_mode != "causal":
            raise ValueError(
                'cache needs attention_mode="causal", as a bidirectional model has no next step, '
                f"got {self.config.attention_mode!r}"
            )
        wanted: type[Cache] = FLASHCache if self._chunked else DynamicCache
        if not isinstance(cache, wanted):
            raise ValueError(
                f"cache must be a {wanted.__name__} under attention={self.config.attention!r}, "
                f"got a {type(cache).__name__}"
            )

    @staticmethod
    def _align_documents(documents: Tensor) -> RowAlignment:
        if in_graph():
            raise ValueError(
                "packed rows (position_ids without attention_mask) cannot be compiled under "
                'attention="mixed_chunk": how many texts there are is known from the data alone; give attention_mask'
            )
        return RowAlignment.from_documents(documents)

    @staticmethod
    def _find_documents(position_ids: Tensor) -> Tensor | None:
        """Documents ``[B, L]`` of packed rows; None where every row is one, as far as can be told without the data."""
        documents = document_ids(position_ids)
        return documents if in_graph() or bool(documents[:, -1].any()) else None

    def _look_around_chunks(
        self,
        hidden_states: Tensor,
        position_ids: Tensor | None,
        real: Tensor | None,
        documents: Tensor | None,
        cache: Cache | None,
    ) -> Surroundings:
        """Positions in mixed chunk attention, of aligned tokens ``[R, M, H]``."""
        length, device = hidden_states.shape[1], hidden_states.device
        lengths = cache.row_lengths if isinstance(cache, FLASHCache) else None
        if position_ids is None:
            position_ids = torch.arange(length, device=device)[None]
            if lengths is not None:
                position_ids = position_ids + lengths[:, None]
        whole = lengths is not None or is_exported()
        size = self.config.chunk_size if whole else min(self.config.chunk_size, length)
        places = self._cos_sin(torch.arange(size, device=device)[None])
        query_places = places
        if lengths is not None and length == 1:
            query_places = self._cos_sin(lengths[None] % size)
        return Surroundings(self.position_tensors(position_ids), query_places, places, real)

    def _look_around(
        self,
        hidden_states: Tensor,
        position_ids: Tensor | None,
        real: Tensor | None,
        documents: Tensor | None,
        cache: Cache | None,
    ) -> Surroundings:
        """Positions and mask in quadratic attention, of tokens ``[B, L, H]`` after those of the cache."""
        length, device = hidden_states.shape[1], hidden_states.device
        past = cache.get_seq_length() if cache is not None else 0
        columns = torch.arange(past + length, device=device)
        visible = None
        if self.config.resolved_attention_mode == "causal" and length > 1:
            visible = (columns <= columns[past:, None])[None]
        if real is not None:
            keys = (real != 0)[:, None]
            visible = keys if visible is None else visible & keys
        if documents is not None:
            together = documents[:, :, None] == documents[:, None, :]
            visible = together if visible is None else visible & together
        places = self._cos_sin(columns[None])
        query_places = places[0][:, past:], places[1][:, past:]
        rotation = self.position_tensors(columns[None, past:] if position_ids is None else position_ids)
        return Surroundings(rotation, query_places, places, visible)

    def _cos_sin(self, places: Tensor) -> CosSin:
        """Cos and sin ``[B or 1, L, K/2]`` of the places ``[B or 1, L]`` that the relative bias compares."""
        rope: Any = self.config.rope_parameters or {}
        theta = rope.get("rope_theta", self.config.default_theta)
        dtype = torch.promote_types(self.dtype, torch.float32)
        cos, sin = rotary_cos_sin(places, self.config.attention_key_size, theta)
        return cos.to(dtype), sin.to(dtype)


FLASHPreTrainedModel.base_model_class = FLASHModel


class FLASHForMaskedLM(MaskedLMHead, FLASHPreTrainedModel):
    """FLASH with the head that predicts masked tokens."""

    _tp_plan = None


class FLASHForCausalLM(CausalLMHead, FLASHPreTrainedModel, GenerationMixin):
    """FLASH that generates left to right, under mixed chunk attention from a state of constant size."""

    _tp_plan = None

    def _supports_default_dynamic_cache(self) -> bool:  # type: ignore[override]
        """Whether the library may make the cache; that of mixed chunk attention the model makes itself."""
        return self.config.attention == "quadratic"


class FLASHForSequenceClassification(SequenceClassificationHead, FLASHPreTrainedModel):
    """FLASH that classifies or scores a text or a pair."""


class FLASHForMultipleChoice(MultipleChoiceHead, FLASHPreTrainedModel):
    """FLASH that picks one of several texts, each scored by its first token."""


class FLASHForTokenClassification(TokenClassificationHead, FLASHPreTrainedModel):
    """FLASH that labels each token on its own."""


class FLASHForQuestionAnswering(QuestionAnsweringHead, FLASHPreTrainedModel):
    """FLASH that scores each token as the start and the end of the answer."""
