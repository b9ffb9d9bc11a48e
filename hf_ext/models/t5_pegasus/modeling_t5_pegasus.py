"""T5-PEGASUS: Transformers' mT5 with the two points in which it differs, and a loss that accumulates right.

B batch, L tokens of the input, M tokens of the target, H hidden, N heads, V vocabulary.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import MT5EncoderModel, MT5ForConditionalGeneration, MT5Model, MT5PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.models.mt5.modeling_mt5 import MT5Block, MT5LayerNorm, MT5Stack
from transformers.utils import can_return_tuple

from hf_ext.carried_code import ModelWithCode
from hf_ext.models.t5_pegasus.configuration_t5_pegasus import T5PegasusConfig
from hf_ext.modules.embeddings import TokenTable
from hf_ext.modules.encoder_model import one_input
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.ops.graphs import in_graph


class T5PegasusLayerNorm(MT5LayerNorm):
    """x / sqrt(mean(x^2) + eps) * gain, computed in the type of its input, float64 included."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """``[..., H]`` to ``[..., H]`` in the type of the gain."""
        normed = F.rms_norm(hidden_states, self.weight.shape, eps=self.variance_epsilon)
        return self.weight * normed.to(self.weight.dtype)


class T5PegasusBlock(MT5Block):
    """mT5's block with the relative bias of self attention in cross attention too."""

    def __init__(self, config: T5PegasusConfig, has_relative_attention_bias: bool, layer_idx: int):
        super().__init__(config, has_relative_attention_bias, layer_idx)
        for layer in self.layer:
            layer.layer_norm = T5PegasusLayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    @takes_past_key_values
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        encoder_decoder_position_bias: Tensor | None = None,
        cache: Cache | None = None,
        input_shift: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """As mT5's block, over ``[B, M, H]``.

        The first block alone is given no bias ``[1 or B, N, M, L]`` of cross attention: it has the table, and passes
        the bias on to the others. ``input_shift`` ``[B]`` is what the columns of each row's input count more than those
        of its target, None where they count alike.
        """
        if encoder_decoder_position_bias is None and encoder_hidden_states is not None:
            attention: Any = self.layer[0].SelfAttention
            seen = cache.get_seq_length(attention.layer_idx) if cache is not None else 0
            device = hidden_states.device
            own = torch.arange(hidden_states.shape[1], device=device) + seen
            # [1 or B, M, L]
            distances = (torch.arange(encoder_hidden_states.shape[1], device=device) - own[:, None])[None]
            if input_shift is not None:
                distances = distances - input_shift[:, None, None]
            buckets = attention._relative_position_bucket(
                distances,
                bidirectional=False,
                num_buckets=attention.relative_attention_num_buckets,
                max_distance=attention.relative_attention_max_distance,
            )
            encoder_decoder_position_bias = attention.relative_attention_bias(buckets).permute(0, 3, 1, 2)
        return super().forward(
            hidden_states,
            attention_mask,
            position_bias,
            encoder_hidden_states,
            encoder_attention_mask,
            encoder_decoder_position_bias,
            cache=cache,
            **kwargs,
        )


class T5PegasusPreTrainedModel(ModelWithCode, MT5PreTrainedModel):
    """What the models share: mT5's initialisation and parameter names, and which of them are tied."""

    config_class = T5PegasusConfig
    config: Any
    _no_split_modules = ["T5PegasusBlock"]  # noqa: RUF012
    # Trainer misses parameters that are another one, and warns of it, unless they stand here.
    _keys_to_ignore_on_save = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]  # noqa: RUF012

    def _initialize_weights(self, module: nn.Module, *_: Any) -> None:
        # Of classes outside of Transformers the library passes over modules that have no parameters of their own, such
        # as attention, and mT5 initialises the layers within by those.
        super()._initialize_weights(module)

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """Parameters that are another one: the stacks' embeddings always, the output matrix if the config says so."""
        if all_submodels:
            return super().get_expanded_tied_weights_keys(all_submodels=True)
        tied = self._tied_weights_keys or {}
        return {
            own: source for own, source in tied.items() if own != "lm_head.weight" or self.config.tie_word_embeddings
        }


class T5PegasusStack(T5PegasusPreTrainedModel, MT5Stack):
    """The encoder, or the decoder if the config says so: mT5's, of blocks of T5-PEGASUS."""

    def __init__(self, config: T5PegasusConfig):
        # Not mT5's own: it would make its blocks first.
        super(MT5Stack, self).__init__(config)
        self.embed_tokens = TokenTable(config.vocab_size, config.d_model)
        self.is_decoder = config.is_decoder
        self.block = nn.ModuleList(T5PegasusBlock(config, i == 0, layer_idx=i) for i in range(config.num_layers))
        self.final_layer_norm = T5PegasusLayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.gradient_checkpointing = False
        self.post_init()

    @takes_past_key_values
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """As mT5's stack, over ``[B, L]`` tokens of which there is one at least."""
        one_input(input_ids, inputs_embeds)
        if self.is_decoder and encoder_hidden_states is not None:
            kwargs["input_shift"] = _input_shift(encoder_attention_mask, attention_mask)
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            inputs_embeds=inputs_embeds,
            cache=cache,
            use_cache=use_cache,
            **kwargs,
        )


def _input_shift(input_mask: Tensor | None, target_mask: Tensor | None) -> Tensor | None:
    """Columns of padding before the input of each row less those before its target, ``[B]``; None where all are 0.

    Args:
        input_mask: ``[B, L]``, non-zero at real tokens, or ``[B, 1, M, L]`` in the back end's form; None: all are real.
        target_mask: ``[B, M]`` or ``[B, 1, M, M]``, with a cache of all tokens so far.
    """
    if input_mask is None and target_mask is None:
        return None
    shift: Any = _first_column(input_mask) - _first_column(target_mask)
    return shift if in_graph() or bool(shift.any()) else None


def _first_column(mask: Tensor | None) -> Any:
    """The column of each row's first real token, ``[B]``."""
    if mask is None:
        return 0
    if mask.dim() == 4:
        # What the last token sees; an additive mask is 0 there.
        mask = mask[:, 0, -1]
        mask = mask if mask.dtype == torch.bool else mask == 0
    return (mask != 0).int().argmax(-1)


def _make_encoder(config: T5PegasusConfig) -> T5PegasusStack:
    return T5PegasusStack(_of_a_stack(config, is_decoder=False, use_cache=False))


def _make_decoder(config: T5PegasusConfig) -> T5PegasusStack:
    layers = config.num_decoder_layers or config.num_layers
    return T5PegasusStack(_of_a_stack(config, is_decoder=True, num_layers=layers))


def _of_a_stack(config: T5PegasusConfig, **fields: Any) -> T5PegasusConfig:
    config = copy.deepcopy(config)
    # mT5's models read the stacks' outputs by name, and give tuples themselves.
    for name, value in {"return_dict": True, **fields}.items():
        setattr(config, name, value)
    return config


class T5PegasusModel(T5PegasusPreTrainedModel, MT5Model):
    """T5-PEGASUS without the output matrix; inputs and outputs are those of `transformers.MT5Model`."""

    _keys_to_ignore_on_load_unexpected = [r"^lm_head\."]  # noqa: RUF012

    def __init__(self, config: T5PegasusConfig):
        super(MT5Model, self).__init__(config)
        self.shared = TokenTable(config.vocab_size, config.d_model)
        self.encoder, self.decoder = _make_encoder(config), _make_decoder(config)
        self.post_init()


class T5PegasusEncoderModel(T5PegasusPreTrainedModel, MT5EncoderModel):
    """The encoder of T5-PEGASUS alone; inputs and outputs are those of `transformers.MT5EncoderModel`."""

    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^lm_head\."]  # noqa: RUF012

    def __init__(self, config: T5PegasusConfig):
        super(MT5EncoderModel, self).__init__(config)
        self.shared = TokenTable(config.vocab_size, config.d_model)
        self.encoder = _make_encoder(config)
        self.post_init()


class T5PegasusForConditionalGeneration(T5PegasusPreTrainedModel, MT5ForConditionalGeneration):
    """T5-PEGASUS that generates, from [CLS] to [SEP] (kexue.fm/archives/8209)."""

    _keys_to_ignore_on_load_unexpected = None  # type: ignore[assignment]

    def __init__(self, config: T5PegasusConfig):
        super(MT5ForConditionalGeneration, self).__init__(config)
        self.shared = TokenTable(config.vocab_size, config.d_model)
        self.encoder, self.decoder = _make_encoder(config), _make_decoder(config)
        self.model_dim = config.d_model
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        # The loss under this name takes labels as they are; that of its own name would shift them.
        self.loss_type = "ForMaskedLM"
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a folder, also one typed mt5, whose generation settings then are those of T5-PEGASUS.

        Arguments and result are those of `transformers.PreTrainedModel.from_pretrained`.
        """
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        config, generation = model.config, model.generation_config
        # mT5 starts at padding, and its folders say so, or nothing.
        if generation.decoder_start_token_id in (None, config.pad_token_id):
            for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id"):
                setattr(generation, name, getattr(config, name))
        return loaded

    @can_return_tuple
    @takes_past_key_values
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        cache: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """Scores of the next token, and the loss.

        Args:
            input_ids: ``[B, L]``; or ``inputs_embeds`` ``[B, L, H]``, or ``encoder_outputs`` of an earlier call.
            attention_mask: ``[B, L]``, 1 for real tokens.
            decoder_input_ids: ``[B, M]``, from [CLS] on; without them ``labels`` shifted right behind [CLS]. Or
                ``decoder_inputs_embeds`` ``[B, M, H]``.
            decoder_attention_mask: ``[B, M]``, 1 for real tokens.
            cache: keys and values of earlier calls.
            labels: ``[B, M]``, the target with [SEP] and without [CLS], -100 at padding.
            use_cache: whether to return keys and values.
            num_items_in_batch: number of labels that the loss is divided by, where a batch is run in parts; their
                number in this call by default.
            **kwargs: of attention, ``output_hidden_states``, ``output_attentions``, ``return_dict``.

        Returns:
            ``logits`` ``[B, M, V]``, ``loss`` if there are labels, and what `transformers.MT5Model` returns.
        """
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self._shift_right(labels)
        kwargs["return_dict"] = True
        outputs = MT5Model.forward(
            self,
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            cache=cache,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        logits = self.lm_head(outputs.last_hidden_state * self.model_dim**-0.5)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config.vocab_size, num_items_in_batch=num_items_in_batch)
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            cache=outputs.cache,
            decoder_hidden_states=outputs.decoder_hidden_states,
            decoder_attentions=outputs.decoder_attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
            encoder_hidden_states=outputs.encoder_hidden_states,
            encoder_attentions=outputs.encoder_attentions,
        )
