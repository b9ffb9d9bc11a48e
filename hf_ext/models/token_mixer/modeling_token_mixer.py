"""Encoders whose tokens are mixed by other means than attention, the model and its heads (kexue.fm/archives/8431).

Shapes: B batch, L tokens, R rows of M tokens of the grid, H hidden, E embedding size.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions
from transformers.utils import TransformersKwargs

from hf_ext.models.token_mixer.configuration_token_mixer import PRE_NORM, TokenMixerConfig
from hf_ext.models.token_mixer.layers_token_mixer import TokenMixerEmbeddings, TokenMixerLayer, make_mixer_norm
from hf_ext.models.token_mixer.surroundings_token_mixer import Surroundings
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel, one_input
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.modules.transformer_block import LayerStack
from hf_ext.ops.fourier import fourier_matrices, fourier_mix, fourier_mix_by_matrices, has_fft, rows_by_length
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.masks import document_ids
from hf_ext.ops.packing import pack, unpack, unpadded_index
from hf_ext.ops.pooling import first_token
from hf_ext.ops.row_alignment import RowAlignment
from hf_ext.transformers_private import capture_outputs, merge_with_config_defaults

_KNOWN_KWARGS = frozenset(TransformersKwargs.__annotations__)


class TokenMixerPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: TokenMixerConfig
    base_model_prefix = "token_mixer"
    _no_split_modules = ["TokenMixerLayer"]  # noqa: RUF012
    # None of the mixers is one of the library's back ends.
    _supports_sdpa = False
    _supports_flash_attn = False
    _supports_flex_attn = False
    _supports_attention_backend = False
    _can_record_outputs = {"hidden_states": TokenMixerLayer}  # noqa: RUF012


class TokenMixerModel(EncoderModel, TokenMixerPreTrainedModel):
    """A token mixer without a head."""

    config: TokenMixerConfig
    takes_cache = False

    def build(self, config: Any) -> None:
        """Make embeddings, blocks and, where blocks have their norm in front, the last norm."""
        self.embeddings = TokenMixerEmbeddings(config)
        if config.mixer == "fnet":
            # FNet has this layer where nothing has to be widened, too.
            self.embeddings_project = nn.Linear(config.resolved_embedding_size, config.hidden_size)
        self.encoder = LayerStack([TokenMixerLayer(config) for _ in range(config.num_hidden_layers)])
        if config.mixer in PRE_NORM:
            self.norm = make_mixer_norm(config, config.hidden_size)

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
            attention_mask: ``[B, L]``, 1 at real tokens, wherever they stand in a row: a text begins with the first of
                them. None: no padding.
            token_type_ids: ``[B, L]``; None: all 0.
            inputs_embeds: ``[B, L, E]`` in place of ``input_ids``.
            position_ids: ``[B or 1, L]``, of the position embeddings, if there are any; None: counted from 0. Without
                ``attention_mask``, a position that does not grow starts a new text that is not mixed with the others
                (packed sequences).
            cache: None.
            use_cache: without effect, as there is no cache.
            **kwargs: ``output_hidden_states`` and others that all models take.

        Returns:
            ``last_hidden_state`` ``[B, L, H]`` (zeros at padding under ``config.unpad``), and ``pooler_output``
            ``[B, H]`` or None.

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if not just one of ``input_ids`` and ``inputs_embeds`` is given, an argument does not fit, a
                text is longer than a learnt matrix, or attentions are asked for.
        """
        # Heads that serve all families pass these on.
        for name in ("encoder_hidden_states", "encoder_attention_mask"):
            if kwargs.pop(name, None) is not None:
                raise ValueError(f"{name} must be None, as token mixers have no cross attention")
        if unknown := [name for name in kwargs if name not in _KNOWN_KWARGS]:
            raise TypeError(f"{type(self).__name__}.forward() got unexpected keyword arguments {sorted(unknown)}")
        tokens = one_input(input_ids, inputs_embeds)
        if self._wants("attentions", kwargs):
            raise ValueError("output_attentions must be False, as token mixers have no attentions to show, got True")
        if cache is not None:
            raise ValueError(f"cache must be None, as a {type(self).__name__} keeps no keys and values, got one")
        batch_size, length = tokens.shape[:2]
        if attention_mask is not None and attention_mask.shape != (batch_size, length):
            raise ValueError(
                f"attention_mask must have shape [B, L] = [{batch_size}, {length}], got {list(attention_mask.shape)}"
            )
        documents = index = None
        if position_ids is not None and attention_mask is None:
            documents = self._find_documents(position_ids.expand(batch_size, -1))
            self._check_packed_rows(documents)
        if attention_mask is not None and self._may_unpad(kwargs):
            found = unpadded_index(attention_mask)[0]
            # A batch without padding, or of padding alone, runs as it is.
            if 0 < len(found) < attention_mask.numel():
                index = found
                documents = document_ids(pack((attention_mask != 0).cumsum(-1), index))
                tokens = pack(tokens, index)
                if position_ids is not None:
                    position_ids = pack(position_ids.expand(batch_size, -1), index)
                if token_type_ids is not None:
                    token_type_ids = pack(token_type_ids.expand(batch_size, -1), index)
        alignment, real = self._align(attention_mask, documents)
        columns = tokens.shape[1] if alignment is None else alignment.length
        self._check_length(columns)
        if position_ids is None and alignment is not None:
            # A text's first token is the first of its row.
            position_ids = (alignment.places % columns).view(tokens.shape[:2])
        elif position_ids is None:
            position_ids = torch.arange(columns, device=tokens.device)[None]

        hidden_states = self.embeddings.word_embeddings(tokens) if input_ids is not None else tokens
        hidden_states = self.embeddings(hidden_states, token_type_ids, (position_ids,))
        if hasattr(self, "embeddings_project"):
            hidden_states = self.embeddings_project(hidden_states)
        hidden_states = self.encoder(hidden_states, self._look_around(hidden_states, alignment, real))
        if hasattr(self, "norm"):
            hidden_states = self.norm(hidden_states)
        if index is not None:
            hidden_states = unpack(hidden_states, index, batch_size, length)
        pooled = self.pooler(first_token(hidden_states, attention_mask)) if self.pooler is not None else None
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=hidden_states, pooler_output=pooled)

    @property
    def _as_padded(self) -> bool:
        return self.config.padding == "as_padded"

    def _may_unpad(self, kwargs: dict[str, Any]) -> bool:
        """Whether padding is to be taken out; hooks record inner states in the shape that the layers run in."""
        return self.config.unpad and not in_graph() and not self._wants("hidden_states", kwargs)

    def _check_packed_rows(self, documents: Tensor | None) -> None:
        """Raise ValueError where several texts in a row cannot be kept apart."""
        if documents is not None and self._as_padded:
            raise ValueError(
                'packed rows (position_ids without attention_mask) need padding="exact", as "as_padded" transforms '
                "whole rows; give attention_mask for one text a row"
            )
        if documents is not None and in_graph():
            raise ValueError(
                "packed rows (position_ids without attention_mask) cannot be compiled: how many texts there are is "
                "known from the data alone; give attention_mask"
            )

    def _align(
        self, attention_mask: Tensor | None, documents: Tensor | None
    ) -> tuple[RowAlignment | None, Tensor | None]:
        """The grid of one text a row, and what is real in it, of a mask or of documents, each ``[B, L]``."""
        if documents is not None:
            alignment = RowAlignment.from_documents(documents)
            return alignment, alignment.real
        if attention_mask is None or self._as_padded:
            return None, None
        real = attention_mask != 0
        if not in_graph() and bool((real[:, 1:] <= real[:, :-1]).all()):
            return None, real
        alignment = RowAlignment.from_mask(attention_mask)
        return alignment, alignment.real

    def _check_length(self, columns: int) -> None:
        """Raise ValueError where rows are longer than a matrix or table that there is."""
        longest = self.config.longest_input
        if longest is not None and columns > longest:
            matrix = "position embeddings" if self.config.has_position_embeddings else "a learnt matrix of tokens"
            raise ValueError(
                f"texts may have max_position_embeddings={longest} tokens, padding included, as "
                f"mixer={self.config.mixer!r} has {matrix} of that size, got {columns}: shorten them"
            )

    def _look_around(self, x: Tensor, alignment: RowAlignment | None, real: Tensor | None) -> Surroundings:
        """What the layers need to know, of tokens ``[B, L, H]``."""
        # Not by `len`, which a graph would keep as a number.
        around = Surroundings(x.shape[0], alignment, real)
        if self.config.mixer != "fnet":
            return around
        if has_fft(x.device) and not in_graph():
            groups = None if real is None else rows_by_length(real)
            return replace(around, fourier=partial(fourier_mix, groups=groups))
        dtype, size = torch.promote_types(x.dtype, torch.float32), self.config.hidden_size
        if real is None:
            real = torch.ones(1, x.shape[1], dtype=torch.bool, device=x.device)
        tokens = fourier_matrices(real.shape[1], real.sum(-1), dtype)
        features = fourier_matrices(size, torch.full((1,), size, device=x.device), dtype)
        return replace(around, fourier=partial(fourier_mix_by_matrices, tokens=tokens, features=features))


TokenMixerPreTrainedModel.base_model_class = TokenMixerModel


class TokenMixerForMaskedLM(MaskedLMHead, TokenMixerPreTrainedModel):
    """A token mixer with the head that predicts masked tokens."""

    _tp_plan = None


class TokenMixerForSequenceClassification(SequenceClassificationHead, TokenMixerPreTrainedModel):
    """A token mixer that classifies or scores a text or a pair."""


class TokenMixerForMultipleChoice(MultipleChoiceHead, TokenMixerPreTrainedModel):
    """A token mixer that picks one of several texts, each scored by its first token."""


class TokenMixerForTokenClassification(TokenClassificationHead, TokenMixerPreTrainedModel):
    """A token mixer that labels each token on its own."""


class TokenMixerForQuestionAnswering(QuestionAnsweringHead, TokenMixerPreTrainedModel):
    """A token mixer that scores each token as the start and the end of the answer."""
