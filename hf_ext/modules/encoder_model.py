"""The forward pass that encoders share: documents, packing, cache, masks, pooling.

Shapes: B batch, L tokens, T tokens of a packed batch, H hidden, E embedding size.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import TransformersKwargs

from hf_ext.carried_code import ModelWithCode
from hf_ext.modules.adapters import refuse_adapted_head
from hf_ext.modules.attention import supports_packing
from hf_ext.modules.attention_mask import packed_arguments, packed_masks, padded_mask
from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.output_layers import Pooler
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.modules.transformer_block import CrossAttention, LayerStack, SelfAttention, TransformerLayer
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.masks import document_ids
from hf_ext.ops.packing import Packing, pack, unpack, unpadded_index
from hf_ext.ops.pooling import first_token
from hf_ext.transformers_private import (
    OutputRecorder,
    attention_implementation,
    capture_outputs,
    merge_with_config_defaults,
)

_KNOWN_KWARGS = frozenset(TransformersKwargs.__annotations__)


def one_input(input_ids: Tensor | None, inputs_embeds: Tensor | None, axes: str = "B, L") -> Tensor:
    """The one of ``input_ids`` and ``inputs_embeds`` that is given.

    Args:
        input_ids: of shape ``axes``.
        inputs_embeds: the same with ``E`` behind.
        axes: names of the axes, the tokens' last.

    Raises:
        ValueError: if not just one is, or it has another shape or no tokens.
    """
    if (input_ids is None) == (inputs_embeds is None):
        given = "neither" if input_ids is None else "both"
        raise ValueError(f"give either input_ids or inputs_embeds, got {given}")
    tokens = input_ids if inputs_embeds is None else inputs_embeds
    assert tokens is not None
    last = axes.count(",")
    name, axes = ("input_ids", axes) if inputs_embeds is None else ("inputs_embeds", axes + ", E")
    if tokens.dim() != axes.count(",") + 1 or tokens.shape[last] == 0:
        raise ValueError(f"{name} must have shape [{axes}] with at least one token, got {list(tokens.shape)}")
    return tokens


class EncoderPreTrainedModel(ModelWithCode, PreTrainedModel):
    """Weight initialisation and what the library may do with a family; a family names its config and prefix."""

    config: EncoderConfig
    base_model_class: type[PreTrainedModel]
    """The family's model without a head, which its heads build."""
    _input_embed_layer = "word_embeddings"
    # Not the embeddings: a head whose matrix is tied to theirs must be sharded together with them.
    _no_split_modules = ["TransformerLayer"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    supports_gradient_checkpointing = True
    # A pooler where the head does without.
    _keys_to_ignore_on_load_unexpected = [r"pooler\."]  # noqa: RUF012
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": TransformerLayer,
        "attentions": OutputRecorder(SelfAttention, index=1, layer_name="attention"),
        "cross_attentions": CrossAttention,
    }

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_adapted_head(name, value)
        super().__setattr__(name, value)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        # A module with bare parameters says itself how they begin.
        if hasattr(module, "init_weights") and not isinstance(module, PreTrainedModel):
            module.init_weights()  # type: ignore[operator]


if TYPE_CHECKING:

    class _Base(EncoderPreTrainedModel):
        """What the mixin is mixed into."""

else:
    _Base = object


class EncoderModel(_Base):
    """Mixin of a family's model without a head.

    The family builds ``embeddings`` and ``encoder`` in :meth:`build`, and makes in :meth:`position_tensors` the
    position inputs of its embeddings and layers.

    Args:
        config: settings.
        add_pooling_layer: whether to have the pooler that ``config.pooler_activation`` names. Heads that read tokens do
            without, as a parameter that no loss reaches stops plain distributed training.
    """

    embeddings: Any
    encoder: LayerStack
    takes_cache = True
    """Whether keys and values of earlier tokens can stand before those at hand."""
    own_arguments: frozenset[str] = frozenset()
    """Names of what a family's `forward` gives this one beside its own arguments, for the blocks."""

    def __init__(self, config: EncoderConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.build(config)
        if config.resolved_embedding_size != config.hidden_size:
            self.embeddings_project = nn.Linear(config.resolved_embedding_size, config.hidden_size)
        self.pooler = Pooler(config) if add_pooling_layer and config.pooler_activation else None
        self.post_init()

    def build(self, config: Any) -> None:
        """Make ``self.embeddings`` and ``self.encoder``."""
        raise NotImplementedError

    def position_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """Position inputs of embeddings and layers, ``[B or 1, L, ...]``, from ``position_ids`` ``[B or 1, L]``."""
        return (position_ids,)

    def place_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """What stands behind the position inputs for :meth:`layer_arguments`, ``[B or 1, L, ...]``."""
        return ()

    def layer_arguments(
        self,
        positions: tuple[Tensor, ...],
        attention_mask: Tensor | None,
        documents: Tensor | None,
        packing: Packing | None,
        cache: Cache | None,
    ) -> dict[str, Any]:
        """What layers are told beside positions and mask, of a batch or a packed row."""
        return {}

    def may_unpad(self, attention_mask: Tensor) -> bool:
        """Whether the rows of ``attention_mask`` ``[B, L]`` give the same outputs with their padding taken out."""
        return True

    @property
    def counts_positions(self) -> bool:
        """Whether positions count, and not distances alone, so that they have to begin at the first real token."""
        fixed = self.config.fixed_fields.get("position_embedding_type")
        return fixed == "absolute" or getattr(self.config, "rotary_value", False)

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
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Any = None,
        cache: Cache | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Encode tokens.

        Args:
            input_ids: ``[B, L]`` token ids; or give ``inputs_embeds``.
            attention_mask: ``[B, L]``, 1 at real tokens; or ``[B, 1, L, L]`` in the back end's form. None: no padding.
            token_type_ids: ``[B, L]``; None: all 0.
            inputs_embeds: ``[B, L, E]`` in place of ``input_ids``.
            position_ids: ``[B or 1, L]``; None: counted from 0, which is a row's first real token where positions count
                and not distances alone. Without ``attention_mask``, a position that does not grow starts a new document
                that neither sees nor is seen by the others (packed sequences).
            encoder_hidden_states: ``[B, S, H]`` for cross attention.
            encoder_attention_mask: ``[B, S]``, 1 at real tokens.
            cache: keys and values of the tokens before, in causal and UniLM models.
            use_cache: whether to return the cache; without effect while training.
            **kwargs: ``output_hidden_states``, ``output_attentions`` and others that all models take.

        Returns:
            ``last_hidden_state`` ``[B, L, H]`` (zeros at padding under ``config.unpad``), ``pooler_output`` ``[B, H]``
            or None, and the cache.

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if not just one of ``input_ids`` and ``inputs_embeds`` is given, it has no tokens or unknown
                ones, or the back end cannot do what is asked.
        """
        if unknown := [name for name in kwargs if name not in _KNOWN_KWARGS | self.own_arguments]:
            raise TypeError(f"{type(self).__name__}.forward() got unexpected keyword arguments {sorted(unknown)}")
        tokens = one_input(input_ids, inputs_embeds)
        if encoder_hidden_states is not None and not self.config.add_cross_attention:
            raise ValueError("encoder_hidden_states needs a model made with config.add_cross_attention=True, got False")

        if cache is not None and not self.takes_cache:
            raise ValueError(f"cache must be None, as a {type(self).__name__} keeps no keys and values, got one")
        mode = self.config.resolved_attention_mode
        batch_size, length = tokens.shape[:2]
        documents = None
        if position_ids is not None and attention_mask is None and cache is None:
            documents = self._find_documents(position_ids.expand(batch_size, -1))
        # Packed rows have no next step that a cache would serve.
        may_cache = mode in ("causal", "unilm") and documents is None and not self.training
        if use_cache and may_cache and cache is None:
            cache = self.new_cache()
            if encoder_hidden_states is not None:
                cache = EncoderDecoderCache(cache, DynamicCache(config=self.config))
        if position_ids is None:
            past_length = cache.get_seq_length() if cache is not None else 0
            # A cache of fixed size counts in a tensor, which a graph cannot take for a bound.
            position_ids = (torch.arange(length, device=tokens.device) + past_length)[None]
            if self.counts_positions and attention_mask is not None and attention_mask.dim() == 2:
                first = (attention_mask != 0).int().argmax(-1, keepdim=True)
                position_ids = (position_ids - first).clamp(min=0)
        positions = (*self.position_tensors(position_ids), *self.place_tensors(position_ids))

        index = packing = None
        if cache is None and encoder_hidden_states is None and self._may_pack(attention_mask, kwargs):
            if documents is not None and batch_size == 1:
                packing = Packing.from_documents(documents)
            elif self.config.unpad and attention_mask is not None and not self._wants("hidden_states", kwargs):
                found = unpadded_index(attention_mask)
                # A batch without padding, or of padding alone, runs as it is.
                if 0 < len(found[0]) < attention_mask.numel() and self.may_unpad(attention_mask):
                    index, packing = found
                    tokens = pack(tokens, index)
                    positions = tuple(pack(x.expand(batch_size, *x.shape[1:]), index) for x in positions)
                    if token_type_ids is not None:
                        token_type_ids = pack(token_type_ids.expand(batch_size, -1), index)

        hidden_states = self.embeddings.word_embeddings(tokens) if input_ids is not None else tokens
        hidden_states = self.embeddings(hidden_states, token_type_ids, positions)
        if hasattr(self, "embeddings_project"):
            hidden_states = self.embeddings_project(hidden_states)

        mask, packed = self.visibility(hidden_states, attention_mask, token_type_ids, documents, packing, cache)
        kwargs |= packed
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
            positions=positions,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            cache=cache,
            **kwargs,
            **self.layer_arguments(positions, attention_mask, documents, packing, cache),
        )
        if index is not None:
            hidden_states = unpack(hidden_states, index, batch_size, length)
        pooled = self.pooler(first_token(hidden_states, attention_mask)) if self.pooler is not None else None
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden_states, pooler_output=pooled, cache=cache
        )

    def new_cache(self) -> Cache:
        """What a causal or UniLM model that is asked to keep something begins with."""
        return DynamicCache(config=self.config)

    def visibility(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        documents: Tensor | None,
        packing: Packing | None,
        cache: Cache | None,
    ) -> tuple[Any, dict[str, Any]]:
        """Which tokens see which, in the form that the layers take; once in each forward pass.

        Args:
            hidden_states: ``[B, L, H]``, or those of a packed row ``[1, T, H]``.
            attention_mask: as in :meth:`forward`.
            token_type_ids: ``[B, L]`` or ``[1, T]``.
            documents: ``[B, L]``, number of the document each token is in; None: each row is one.
            packing: where the sequences of a packed row lie; None: there is none.
            cache: keys and values of the tokens before.

        Returns:
            The layers' mask, and further arguments of theirs.
        """
        mode = self.config.resolved_attention_mode
        if packing is not None:
            masks = packed_masks(self.config, mode, packing, token_type_ids, hidden_states.dtype)
            return masks, packed_arguments(self.config, packing)
        mask = padded_mask(self.config, mode, hidden_states, attention_mask, token_type_ids, documents, cache)
        return mask, {}

    @staticmethod
    def _find_documents(position_ids: Tensor) -> Tensor | None:
        """Documents ``[B, L]`` of packed rows; None where every row is one, as far as can be told without the data."""
        documents = document_ids(position_ids)
        return documents if in_graph() or bool(documents[:, -1].any()) else None

    def _may_pack(self, attention_mask: Tensor | None, kwargs: dict[str, Any]) -> bool:
        """Whether the back end can run sequences one after the other by their lengths."""
        return (
            supports_packing(attention_implementation(self.config))
            # A graph has no place for lengths that only the data knows.
            and not in_graph()
            and (attention_mask is None or attention_mask.dim() == 2)
            and not self._wants("attentions", kwargs)
        )

    def _wants(self, what: str, kwargs: dict[str, Any]) -> bool:
        """Whether the caller asks for inner states; hooks record them in the shape that the layers run in."""
        return bool(kwargs.get(f"output_{what}", getattr(self.config, f"output_{what}", False)))
