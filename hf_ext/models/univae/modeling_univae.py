"""UniVAE without a head: one Transformer that codes texts and writes them again (kexue.fm/archives/8475).

The original runs ``[x ; x]`` in one row under a mask by which the halves meet in the code alone. Here each half is run
by itself, which computes the same: the text as in an encoder, and then the text to be written as in a decoder, before
whose tokens the latents stand.

Shapes: B batch, L tokens of a text, M tokens of the decoder, H hidden, E embedding size, K latents of a text, Z size of
one. Parameter names are those of RoFormer, and ``encoder.latents``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions, ModelOutput
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple

from hf_ext.models.univae.configuration_univae import UniVAEConfig
from hf_ext.models.univae.layers_univae import LatentPass, Room, UniVAEStack
from hf_ext.modules.attention_mask import packed_arguments, packed_masks, padded_mask
from hf_ext.modules.embeddings import TokenEmbeddings
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel, one_input
from hf_ext.modules.rotary_positions import rotations
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.masks import document_ids
from hf_ext.ops.packing import pack, unpack, unpadded_index
from hf_ext.transformers_private import capture_outputs, merge_with_config_defaults

_KNOWN_KWARGS = frozenset(TransformersKwargs.__annotations__)


@dataclass
class UniVAEModelOutput(ModelOutput):
    """What the encoder returns; S is B, or the number of packed texts.

    Attributes:
        last_hidden_state: ``[B, L, H]``.
        pooler_output: ``[B, H]``, where the config has a pooler.
        z: ``[S, K * Z]``, the latents, that of the lowest layer first; float32 or better.
        mean: ``[S, K * Z]``, what they are drawn around.
        log_variance: ``[S, K * Z]``, of Gaussians.
        hidden_states: of all layers, where they are asked for.
        attentions: the same.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    z: Tensor | None = None
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class UniVAEPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: UniVAEConfig
    base_model_prefix = "roformer"
    _no_split_modules = ["UniVAELayer"]  # noqa: RUF012
    # The table of sines that the built-in RoFormer saves, and a pooler where the head does without.
    _keys_to_ignore_on_load_unexpected = [r"encoder\.embed_positions\.weight", r"pooler\."]  # noqa: RUF012


class UniVAEModel(EncoderModel, UniVAEPreTrainedModel):
    """UniVAE without a head: `forward` codes texts, and `decode` reads codes."""

    config: UniVAEConfig
    encoder: UniVAEStack
    takes_cache = False
    own_arguments = frozenset({"latents"})

    def build(self, config: Any) -> None:
        """Make embeddings, blocks and latents."""
        self.embeddings = TokenEmbeddings(config)
        self.encoder = UniVAEStack(config)

    def position_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """Rotations of all layers, cos and sin ``[B or 1, L, D/2]`` each, in float32 or better."""
        return rotations(self.config, position_ids, self.dtype)

    def may_unpad(self, attention_mask: Tensor) -> bool:
        """Whether every row has a token to put its latents in the place of."""
        return bool((attention_mask != 0).any(-1).all())

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        sample: bool | None = None,
        noise: tuple[Tensor, ...] | None = None,
        codes_only: bool = False,
        **kwargs: Any,
    ) -> UniVAEModelOutput:
        """Code texts.

        Args:
            input_ids: ``[B, L]`` token ids; or give ``inputs_embeds``.
            attention_mask: ``[B, L]``, 1 at real tokens; None: no padding.
            token_type_ids: ``[B, L]``, all 0, as the text itself is: type 1 is that of the decoder.
            inputs_embeds: ``[B, L, E]`` in place of ``input_ids``.
            position_ids: as of other encoders; without ``attention_mask`` they mark the texts of packed rows.
            sample: whether latents are drawn (the original's mode "vae"), else they are the means (mode "encoder");
                None: drawn in training.
            noise: to draw with: cosines ``[S, K]`` and normal numbers ``[S, K, Z]`` of a von Mises-Fisher
                distribution, or the latter alone of a Gaussian; None: drawn.
            codes_only: leave out the last block, which codes do not depend on, and ``last_hidden_state`` with it.
            **kwargs: ``output_hidden_states``, ``output_attentions`` and others that all models take.

        Returns:
            `UniVAEModelOutput`.

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if a text is longer than ``half_length``, or an argument does not fit.
        """
        tokens = one_input(input_ids, inputs_embeds)
        _check_types(token_type_ids)
        first, longest = self._first_tokens(tokens, attention_mask, position_ids)
        self._check_length("input_ids" if inputs_embeds is None else "inputs_embeds", longest)
        sample = self.training if sample is None else sample
        if noise is not None and not sample:
            raise ValueError("noise goes with sample=True, as means are not drawn, got noise without")
        latents = LatentPass(first, sample, noise, ends_early=codes_only)
        outputs = super().forward(
            input_ids,
            attention_mask,
            None,
            inputs_embeds,
            position_ids=position_ids,
            latents=latents,
            return_dict=True,
            **kwargs,
        )
        z, mean, log_variance = (
            torch.cat(parts, dim=-1) if parts else None
            for parts in (latents.codes, latents.means, latents.log_variances)
        )
        return UniVAEModelOutput(
            last_hidden_state=None if codes_only else outputs.last_hidden_state,
            pooler_output=None if codes_only else outputs.pooler_output,
            z=z,
            mean=mean,
            log_variance=log_variance,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _first_tokens(
        self, tokens: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None
    ) -> tuple[Tensor, int]:
        """The places of the first tokens in the flattened batch ``[S]``, and tokens of the longest text."""
        batch_size, length = tokens.shape[:2]
        begin = torch.arange(batch_size, device=tokens.device) * length
        if attention_mask is not None:
            if attention_mask.dim() != 2:
                raise ValueError(f"attention_mask must have shape [B, L], got {list(attention_mask.shape)}")
            return begin + (attention_mask != 0).int().argmax(-1), length
        if position_ids is None:
            return begin, length
        if in_graph():
            raise ValueError(
                "position_ids without attention_mask may be packed texts, and a graph has no place for their number: "
                "give attention_mask"
            )
        documents = document_ids(position_ids.expand(batch_size, -1))
        starts = F.pad(documents[:, 1:] != documents[:, :-1], (1, 0), value=True)
        first = starts.flatten().nonzero().squeeze(-1)
        ends = F.pad(first[1:], (0, 1), value=batch_size * length)
        return first, int((ends - first).max())

    def _check_length(self, name: str, length: int) -> None:
        if length > self.config.half_length:
            raise ValueError(
                f"{name} must have at most half_length={self.config.half_length} tokens a text, got {length}: shorten "
                "the text, or train a model with a greater half_length"
            )

    def decode(
        self,
        z: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool = False,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Run the tokens of the decoder behind the latents (the original's mode "decoder").

        Args:
            z: ``[B, K * Z]``; latents of a von Mises-Fisher distribution are normalised.
            input_ids: ``[B, M]``, from the first token of a text on, with a cache those behind it; or give
                ``inputs_embeds``.
            attention_mask: ``[B, M]``, with a cache also of the tokens before, 1 at real tokens; None: all are.
            inputs_embeds: ``[B, M, E]``.
            cache: keys and values of the tokens before, a `transformers.DynamicCache`.
            use_cache: whether to return one.
            **kwargs: ``output_hidden_states``, ``output_attentions`` and others that all models take.

        Returns:
            ``last_hidden_state`` ``[B, M, H]``, ``hidden_states`` of the same shape, ``attentions``, which have the
            latent before the tokens in the layers that have one, and the cache.

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if there are more than ``half_length`` tokens, or an argument does not fit.
        """
        tokens = one_input(input_ids, inputs_embeds)
        return self._decode(
            # No `len`, which a graph would take for a constant.
            self.latents_of(z, tokens.shape[0]),
            tokens,
            attention_mask,
            cache=cache,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )

    def latents_of(self, z: Tensor, texts: int | None = None) -> Tensor:
        """Codes ``[B, K * Z]`` as latents ``[B, K, Z]``, normalised where they lie on a sphere.

        Args:
            z: of texts.
            texts: how many there have to be; None: any number.

        Raises:
            ValueError: if the shape is another, or there are others than numbers.
        """
        size = self.config.code_size
        wanted = f"[{'B' if texts is None else texts}, {size}]"
        if z.dim() != 2 or z.shape[1] != size or (texts is not None and z.shape[0] != texts):
            raise ValueError(
                f"z must have shape {wanted}, num_latent_layers * latent_size numbers a text, got {list(z.shape)}"
            )
        latents = z.unflatten(-1, (self.config.latents, self.config.latent_size))
        return F.normalize(latents, dim=-1) if self.config.latent == "vmf" else latents

    @merge_with_config_defaults
    @capture_outputs
    def _decode(
        self,
        latents: Tensor,
        tokens: Tensor,
        attention_mask: Tensor | None,
        cache: Cache | None,
        use_cache: bool,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        if unknown := [name for name in kwargs if name not in _KNOWN_KWARGS]:
            raise TypeError(f"{type(self).__name__}.decode() got unexpected keyword arguments {sorted(unknown)}")
        if cache is not None and not isinstance(cache, DynamicCache):
            raise ValueError(
                "cache must be a DynamicCache, as layers with a latent have one key more than the others, "
                f"got a {type(cache).__name__}"
            )
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError(f"attention_mask must have shape [B, M], got {list(attention_mask.shape)}")
        batch_size, length = tokens.shape[:2]
        config, device = self.config, tokens.device
        begin = config.first_latent_layer
        if use_cache and cache is None:
            cache = DynamicCache(config=config)
        past = cache.get_seq_length() if cache is not None else 0
        if past and not begin:
            # The first layer has the latent's key too.
            past -= 1
        self._check_length("decoder_input_ids" if tokens.dim() == 2 else "decoder_inputs_embeds", past + length)

        # From where a text that is padded on the left begins.
        places = torch.arange(past, past + length, device=device)[None]
        if attention_mask is not None:
            places = (places - (attention_mask != 0).int().argmax(-1, keepdim=True)).clamp(min=0)
        places = places + config.half_length
        index = packing = None
        if cache is None and config.unpad and attention_mask is not None and self._may_pack(attention_mask, kwargs):
            found = unpadded_index(attention_mask)
            may = not self._wants("hidden_states", kwargs) and self.may_unpad(attention_mask)
            if may and len(found[0]) < attention_mask.numel():
                index, packing = found
                tokens, places = pack(tokens, index), pack(places.expand(batch_size, -1), index)

        hidden_states = self.embeddings.word_embeddings(tokens) if tokens.dim() == 2 else tokens
        types = torch.ones(hidden_states.shape[:2], dtype=torch.long, device=device)
        hidden_states = self.embeddings(hidden_states, types, ())
        if hasattr(self, "embeddings_project"):
            hidden_states = self.embeddings_project(hidden_states)

        room = Room() if packing is None else Room.in_row(packing)
        lower: dict[str, Any] = {"positions": self.position_tensors(places)}
        upper: dict[str, Any] = lower
        if not past:
            upper = {"positions": self.position_tensors(room.join(places))}
        if packing is not None:
            assert room.packing is not None
            for arguments, own in ((lower, packing), (upper, room.packing)):
                arguments["attention_mask"] = packed_masks(config, "causal", own, None, hidden_states.dtype)
                arguments.update(packed_arguments(config, own))
        else:
            wider = None if attention_mask is None else F.pad(attention_mask, (1, 0), value=1)
            if not past:
                lower["attention_mask"] = padded_mask(config, "causal", hidden_states, attention_mask)
                upper["attention_mask"] = padded_mask(config, "causal", room.join(hidden_states), wider)
            elif begin:
                lower["attention_mask"] = padded_mask(config, "causal", hidden_states, attention_mask, cache=cache)
                upper = lower | {"attention_mask": _with_a_key_before(lower["attention_mask"])}
            else:
                # The cache says how many keys there are by its first layer, which has the latent's.
                upper["attention_mask"] = padded_mask(config, "causal", hidden_states, wider, cache=cache)

        kwargs |= {"cache": cache, "is_causal": True}
        encoder: Any = self.encoder
        for layer in encoder.layer[:begin]:
            hidden_states = layer(hidden_states, **lower, **kwargs)
        for layer, latent, code in zip(encoder.layer[begin:], encoder.latents, latents.unbind(1)):
            # A cache has the key of the latent already.
            before = () if past else (latent(code), room)
            hidden_states = layer(hidden_states, *before, **upper, **kwargs)
        if index is not None:
            hidden_states = unpack(hidden_states, index, batch_size, length)
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=hidden_states, cache=cache)


def _with_a_key_before(mask: Any) -> Any:
    """A mask ``[B, 1, M, S]``, or ``[B, S]``, with one more key that all see.

    Raises:
        ValueError: if the back end's mask is no tensor.
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor):
        raise ValueError(
            'attn_implementation="flex_attention" cannot go on from a cache in a UniVAE, use "sdpa" or "eager", or '
            f"use_cache=False: got a {type(mask).__name__}"
        )
    return F.pad(mask, (1, 0), value=True if mask.dtype == torch.bool else 1 if mask.dim() == 2 else 0)


def _check_types(token_type_ids: Tensor | None) -> None:
    # Where looking would wait for a GPU, or values may decide nothing, they are taken on trust.
    if token_type_ids is None or token_type_ids.device.type != "cpu" or in_graph():
        return
    if bool(token_type_ids.any()):
        raise ValueError(
            "token_type_ids must be 0, as a text is coded by itself and its copy of type 1 is the decoder's, "
            f"got {int(token_type_ids.max())}"
        )


UniVAEPreTrainedModel.base_model_class = UniVAEModel
