"""RoFormer, V1 and V2: the encoder and its heads (kexue.fm/archives/8265, 8998; arXiv 2104.09864).

Shapes: B batch, L tokens, T tokens of a packed batch, H hidden, E embedding size, V vocabulary, C labels.
"""

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from hf_ext.losses.classification import classification_loss
from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.models.roformer.layers_roformer import (
    RoFormerCrossAttention,
    RoFormerEmbeddings,
    RoFormerEncoder,
    RoFormerLayer,
    RoFormerLMPredictionHead,
    RoFormerOnlyMLMHead,
    RoFormerPooler,
    RoFormerSelfAttention,
)
from hf_ext.modules.attention import supports_packing
from hf_ext.modules.attention_mask import packed_arguments, packed_masks, padded_mask
from hf_ext.ops.masks import document_ids
from hf_ext.ops.packing import Packing, pack, unpack, unpadded_index
from hf_ext.ops.pooling import first_token
from hf_ext.ops.rotary import rotary_cos_sin

logger = logging.getLogger(__name__)

_KNOWN_KWARGS = frozenset(TransformersKwargs.__annotations__)


class RoFormerPreTrainedModel(PreTrainedModel):
    """Weight initialisation and what the library may do with the family."""

    config: RoFormerConfig
    base_model_prefix = "roformer"
    _input_embed_layer = "word_embeddings"
    _no_split_modules = ["RoFormerEmbeddings", "RoFormerLayer"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    supports_gradient_checkpointing = True
    # The table of sines that the built-in RoFormer saves, and a pooler where the head does without.
    _keys_to_ignore_on_load_unexpected = [r"encoder\.embed_positions\.weight", r"pooler\."]  # noqa: RUF012
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": RoFormerLayer,
        "attentions": OutputRecorder(RoFormerSelfAttention, index=1, layer_name="attention"),
        "cross_attentions": RoFormerCrossAttention,
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RoFormerLMPredictionHead) and hasattr(module, "bias"):
            init.zeros_(module.bias)


class RoFormerModel(RoFormerPreTrainedModel):
    """RoFormer without a head.

    Args:
        config: settings.
        add_pooling_layer: whether to have the pooler that ``config.pooler_activation`` names. Heads that read tokens do
            without, as a parameter that no loss reaches stops plain distributed training.
    """

    def __init__(self, config: RoFormerConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.embeddings = RoFormerEmbeddings(config)
        if config.resolved_embedding_size != config.hidden_size:
            self.embeddings_project = nn.Linear(config.resolved_embedding_size, config.hidden_size)
        self.encoder = RoFormerEncoder(config)
        self.pooler = RoFormerPooler(config) if add_pooling_layer and config.pooler_activation else None
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Any = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Encode tokens.

        Args:
            input_ids: ``[B, L]`` token ids; or give ``inputs_embeds``.
            attention_mask: ``[B, L]``, 1 at real tokens; or ``[B, 1, L, L]`` in the back end's form. None: no padding.
            token_type_ids: ``[B, L]``; None: all 0.
            inputs_embeds: ``[B, L, E]`` in place of ``input_ids``.
            position_ids: ``[B or 1, L]``; None: counted from 0. Without ``attention_mask``, a position that does not
                grow starts a new document that neither sees nor is seen by the others (packed sequences).
            encoder_hidden_states: ``[B, S, H]`` for cross attention.
            encoder_attention_mask: ``[B, S]``, 1 at real tokens.
            past_key_values: cache of causal and UniLM models.
            use_cache: whether to return the cache; without effect while training.
            **kwargs: ``output_hidden_states``, ``output_attentions`` and others that all models take.

        Returns:
            ``last_hidden_state`` ``[B, L, H]`` (zeros at padding under ``config.unpad``), ``pooler_output`` ``[B, H]``
            or None, and the cache.

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if not just one of ``input_ids`` and ``inputs_embeds`` is given, or the back end cannot do
                what is asked.
        """
        if unknown := kwargs.keys() - _KNOWN_KWARGS:
            raise TypeError(f"{type(self).__name__}.forward() got unexpected keyword arguments {sorted(unknown)}")
        if (input_ids is None) == (inputs_embeds is None):
            given = "neither" if input_ids is None else "both"
            raise ValueError(f"give either input_ids or inputs_embeds, got {given}")
        if encoder_hidden_states is not None and not self.config.add_cross_attention:
            raise ValueError("encoder_hidden_states needs a model made with config.add_cross_attention=True, got False")

        mode = self.config.resolved_attention_mode
        tokens = input_ids if input_ids is not None else inputs_embeds
        assert tokens is not None
        batch_size, length = tokens.shape[:2]
        documents = None
        if position_ids is not None and attention_mask is None and past_key_values is None:
            documents = self._find_documents(position_ids.expand(batch_size, -1))
        # Packed rows have no next step that a cache would serve.
        may_cache = mode != "bidirectional" and documents is None and not self.training
        if use_cache and may_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
            if encoder_hidden_states is not None:
                past_key_values = EncoderDecoderCache(past_key_values, DynamicCache(config=self.config))
        if position_ids is None:
            past_length = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = torch.arange(past_length, past_length + length, device=tokens.device)[None]
        cos_sin = self._cos_sin(position_ids)

        index = packing = None
        if past_key_values is None and encoder_hidden_states is None and self._may_pack(attention_mask, kwargs):
            if documents is not None and batch_size == 1:
                packing = Packing.from_documents(documents)
            elif self.config.unpad and attention_mask is not None and not self._wants("hidden_states", kwargs):
                found = unpadded_index(attention_mask)
                # A batch without padding, or of padding alone, runs as it is.
                if 0 < len(found[0]) < attention_mask.numel():
                    index, packing = found
                    tokens = pack(tokens, index)
                    cos_sin = tuple(pack(x.expand(batch_size, -1, -1), index) for x in cos_sin)
                    if token_type_ids is not None:
                        token_type_ids = pack(token_type_ids.expand(batch_size, -1), index)

        hidden_states = self.embeddings.word_embeddings(tokens) if input_ids is not None else tokens
        hidden_states = self.embeddings(hidden_states, token_type_ids)
        if hasattr(self, "embeddings_project"):
            hidden_states = self.embeddings_project(hidden_states)

        if packing is not None:
            mask: Any = packed_masks(self.config, mode, packing, token_type_ids, hidden_states.dtype)
            kwargs |= packed_arguments(self.config, packing)
        else:
            mask = padded_mask(
                self.config, mode, hidden_states, attention_mask, token_type_ids, documents, past_key_values
            )
        if encoder_attention_mask is not None:
            encoder_attention_mask = create_bidirectional_mask(
                config=self.config,
                inputs_embeds=hidden_states,
                attention_mask=encoder_attention_mask,
                encoder_hidden_states=encoder_hidden_states,
            )
        hidden_states = self.encoder(
            hidden_states,
            mask,
            cos_sin=cos_sin,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        if index is not None:
            hidden_states = unpack(hidden_states, index, batch_size, length)
        pooled = self.pooler(first_token(hidden_states, attention_mask)) if self.pooler is not None else None
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden_states, pooler_output=pooled, past_key_values=past_key_values
        )

    def _cos_sin(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """Rotations of all layers, cos and sin ``[B or 1, L, D/2]`` each, in float32 or better."""
        rope: Any = self.config.rope_parameters
        frequencies, factor = None, 1.0
        if rope["rope_type"] != "default":
            scale = ROPE_INIT_FUNCTIONS[rope["rope_type"]]
            frequencies, factor = scale(self.config, position_ids.device, seq_len=position_ids.max() + 1)
        dtype = torch.promote_types(self.dtype, torch.float32)
        cos_sin = rotary_cos_sin(position_ids, self.config.head_size, rope["rope_theta"], frequencies)
        return tuple((x * factor).to(dtype) for x in cos_sin)

    @staticmethod
    def _find_documents(position_ids: Tensor) -> Tensor | None:
        """Documents ``[B, L]`` of packed rows; None where every row is one, as far as can be told without the data."""
        documents = document_ids(position_ids)
        compiling = torch.compiler.is_compiling() or torch.compiler.is_exporting()
        return documents if compiling or bool(documents[:, -1].any()) else None

    def _may_pack(self, attention_mask: Tensor | None, kwargs: dict[str, Any]) -> bool:
        """Whether the back end can run sequences one after the other by their lengths."""
        return (
            supports_packing(self.config._attn_implementation)
            # A graph has no place for lengths that only the data knows.
            and not (torch.compiler.is_compiling() or torch.compiler.is_exporting())
            and (attention_mask is None or attention_mask.dim() == 2)
            and not self._wants("attentions", kwargs)
        )

    def _wants(self, what: str, kwargs: dict[str, Any]) -> bool:
        """Whether the caller asks for inner states; hooks record them in the shape that the layers run in."""
        return bool(kwargs.get(f"output_{what}", getattr(self.config, f"output_{what}", False)))


_TIED_WEIGHTS = {
    "cls.predictions.decoder.weight": "roformer.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


class _RoFormerLMHead(RoFormerPreTrainedModel):
    """What the models with a head over the vocabulary share."""

    _tied_weights_keys = _TIED_WEIGHTS

    def __init__(self, config: RoFormerConfig):
        super().__init__(config)
        if config.norm_type == "rms_norm":
            # V2's head has no bias to tie.
            self._tied_weights_keys = {key: _TIED_WEIGHTS[key] for key in ("cls.predictions.decoder.weight",)}
        self.roformer = RoFormerModel(config)
        self.cls = RoFormerOnlyMLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """The output matrix, tied to the token embedding."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the output matrix and its bias."""
        self.cls.predictions.decoder = new_embeddings
        if new_embeddings.bias is not None:
            self.cls.predictions.bias = new_embeddings.bias


class RoFormerForMaskedLM(_RoFormerLMHead):
    """RoFormer with the head that predicts masked tokens."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Predict tokens: ``logits`` ``[B, L, V]``; ``labels`` ``[B, L]`` are ids, -100 where nothing is asked."""
        outputs = self.roformer(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        logits = self.cls(outputs.last_hidden_state)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class RoFormerForCausalLM(_RoFormerLMHead, GenerationMixin):
    """RoFormer that generates: left to right, or as UniLM (``config.attention_mode``)."""

    def __init__(self, config: RoFormerConfig):
        if config.resolved_attention_mode == "bidirectional":
            logger.warning(
                'attention_mode is "bidirectional", under which a token sees the one it has to predict; '
                'RoFormerForCausalLM runs as "causal". Set config.attention_mode to "causal" or "unilm".'
            )
            config = copy.deepcopy(config)
            config.attention_mode = "causal"
        super().__init__(config)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """Predict the next token of each: ``logits`` ``[B, L, V]``.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``.
            token_type_ids: ``[B, L]``; in UniLM mode 0 for the source and 1 for the target.
            inputs_embeds: ``[B, L, E]``.
            position_ids: and the next four: as in :meth:`RoFormerModel.forward`.
            encoder_hidden_states: ``[B, S, H]``.
            encoder_attention_mask: ``[B, S]``.
            past_key_values: cache.
            use_cache: whether to return the cache.
            labels: ``[B, L]`` ids, not shifted, -100 where nothing is asked (in UniLM mode, at the source).
            logits_to_keep: logits of this many last tokens only, or of these; 0: of all.
            **kwargs: of :meth:`RoFormerModel.forward`.
        """
        outputs = self.roformer(
            input_ids,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            position_ids=position_ids,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.cls(outputs.last_hidden_state[:, keep])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithCrossAttentions(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            cross_attentions=outputs.cross_attentions,
        )

    def _update_model_kwargs_for_generation(
        self, outputs: Any, model_kwargs: dict[str, Any], is_encoder_decoder: bool = False, num_new_tokens: int = 1
    ) -> dict[str, Any]:
        model_kwargs = super()._update_model_kwargs_for_generation(
            outputs, model_kwargs, is_encoder_decoder, num_new_tokens
        )
        if self.config.resolved_attention_mode == "unilm":
            # What is generated is the target, type 1, where the base class repeats the type of the last token. Without
            # types for the source only the target's are kept.
            types = model_kwargs.get("token_type_ids")
            types = (
                outputs.logits.new_zeros((len(outputs.logits), num_new_tokens), dtype=torch.long)
                if types is None
                else types.clone()
            )
            types[:, -num_new_tokens:] = 1
            model_kwargs["token_type_ids"] = types
        return model_kwargs

    def prepare_inputs_for_generation(
        self: Any, input_ids: Any, *args: Any, inputs_embeds: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Complete the token types of a UniLM source, which are 0, and leave the rest to the library."""
        types = kwargs.get("token_type_ids")
        if types is not None and types.shape[1] < input_ids.shape[1]:
            kwargs["token_type_ids"] = nn.functional.pad(types, (input_ids.shape[1] - types.shape[1], 0))
        kwargs["inputs_embeds"] = inputs_embeds
        return GenerationMixin.prepare_inputs_for_generation(self, input_ids, *args, **kwargs)

    def _assisted_decoding(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The library gives a draft the type of the last token: as part of a source it would see its own future.
        if self.config.resolved_attention_mode == "unilm":
            raise ValueError(
                'assisted generation cannot tell a draft from the source under attention_mode="unilm"; '
                "generate without assistant_model and prompt_lookup_num_tokens"
            )
        return GenerationMixin._assisted_decoding(self, *args, **kwargs)

    @staticmethod
    def create_masks_for_generate(
        config: RoFormerConfig,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None,
        past_key_values: Cache | None,
        token_type_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Build the mask ahead of a step with a cache of fixed size; the library's own knows no UniLM."""
        mode = config.resolved_attention_mode
        return padded_mask(config, mode, inputs_embeds, attention_mask, token_type_ids, None, past_key_values)


class RoFormerClassificationHead(nn.Module):
    """Dense, activation and output layer on the first token."""

    def __init__(self, config: RoFormerConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = _classifier_dropout(config)
        self.out_proj = nn.Linear(config.hidden_size, _num_labels(config))

    def forward(self, first: Tensor) -> Tensor:
        """Logits ``[B, C]`` of ``[B, H]``."""
        return self.out_proj(self.dropout(self.activation(self.dense(self.dropout(first)))))


def _num_labels(config: RoFormerConfig) -> int:
    return int(config.num_labels or 0)


def _classifier_dropout(config: RoFormerConfig) -> nn.Dropout:
    return nn.Dropout(config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout)


class RoFormerForSequenceClassification(RoFormerPreTrainedModel):
    """RoFormer that classifies or scores a text or a pair."""

    def __init__(self, config: RoFormerConfig):
        super().__init__(config)
        self.roformer = RoFormerModel(config, add_pooling_layer=False)
        self.classifier = RoFormerClassificationHead(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify: ``logits`` ``[B, C]``.

        ``labels`` are ``[B]`` class ids, ``[B, C]`` floats of several classes each, or ``[B]`` (``[B, C]``) targets of
        a regression; ``config.problem_type`` says which, or their type and ``num_labels`` do.
        """
        outputs = self.roformer(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        logits = self.classifier(first_token(outputs.last_hidden_state, attention_mask))
        loss = None
        if labels is not None:
            loss = classification_loss(logits, labels, self.config.problem_type, kwargs.get("num_items_in_batch"))
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class RoFormerForMultipleChoice(RoFormerPreTrainedModel):
    """RoFormer that picks one of several texts, each scored by its first token."""

    def __init__(self, config: RoFormerConfig):
        super().__init__(config)
        self.roformer = RoFormerModel(config, add_pooling_layer=False)
        self.dropout = _classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MultipleChoiceModelOutput:
        """Score ``[B, K, L]`` choices: ``logits`` ``[B, K]``; ``labels`` ``[B]`` are the right ones."""
        tokens = input_ids if input_ids is not None else inputs_embeds
        if tokens is None:
            raise ValueError("give either input_ids or inputs_embeds, got neither")
        choices = tokens.shape[1]
        flat = [
            None if x is None else x.flatten(0, 1) for x in (input_ids, attention_mask, token_type_ids, inputs_embeds)
        ]
        outputs = self.roformer(*flat, **kwargs)
        logits = self.classifier(self.dropout(first_token(outputs.last_hidden_state, flat[1]))).view(-1, choices)
        loss = None
        if labels is not None:
            num_items = kwargs.get("num_items_in_batch")
            loss = classification_loss(logits, labels, "single_label_classification", num_items)
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class RoFormerForTokenClassification(RoFormerPreTrainedModel):
    """RoFormer that labels each token on its own."""

    def __init__(self, config: RoFormerConfig):
        super().__init__(config)
        self.roformer = RoFormerModel(config, add_pooling_layer=False)
        self.dropout = _classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, _num_labels(config))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Label tokens: ``logits`` ``[B, L, C]``; ``labels`` ``[B, L]`` are class ids, -100 where nothing is asked."""
        outputs = self.roformer(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None
        if labels is not None:
            num_items = kwargs.get("num_items_in_batch")
            loss = classification_loss(logits.flatten(0, 1), labels.flatten(), "single_label_classification", num_items)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class RoFormerForQuestionAnswering(RoFormerPreTrainedModel):
    """RoFormer that scores each token as the start and the end of the answer."""

    # Its labels are not called `labels`, by which Trainer would count the items of a batch.
    accepts_loss_kwargs = False

    def __init__(self, config: RoFormerConfig):
        super().__init__(config)
        config.num_labels = 2
        self.roformer = RoFormerModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> QuestionAnsweringModelOutput:
        """Find the answer: ``start_logits`` and ``end_logits`` ``[B, L]``.

        ``start_positions`` and ``end_positions`` ``[B]`` are token positions, the end inclusive; those outside the
        text count for nothing.
        """
        outputs = self.roformer(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        start_logits, end_logits = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = self.loss_function(start_logits, end_logits, start_positions, end_positions)
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
