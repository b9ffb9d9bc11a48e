"""The head that generates: left to right, or as UniLM from a source that sees all of itself.

Shapes: B batch, L tokens, S tokens of an encoder, H hidden, E embedding size, V vocabulary.
"""

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions
from transformers.utils.generic import can_return_tuple

from hf_ext.modules.attention_mask import padded_mask
from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.family_heads import VocabularyHead
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.transformers_private import shifts_smoothed_labels

logger = logging.getLogger(__name__)


class CausalLMHead(VocabularyHead, GenerationMixin):
    """A decoder that generates: left to right, or as UniLM (``config.attention_mode``).

    The library looks for ``GenerationMixin`` among a class's own bases: a family names it once more, last.
    """

    def __init__(self, config: EncoderConfig):
        if config.resolved_attention_mode == "bidirectional":
            logger.warning(
                'attention_mode is "bidirectional", under which a token sees the one it has to predict; '
                f'{type(self).__name__} runs as "causal". Set config.attention_mode to "causal" or "unilm".'
            )
            config = copy.deepcopy(config)
            config.attention_mode = "causal"
        super().__init__(config)

    @property
    def smooths_labels(self) -> bool:
        """Whether Trainer, which smooths by the logits, knows by the class's name that they are of the next token."""
        return shifts_smoothed_labels(type(self))

    @can_return_tuple
    @takes_past_key_values
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cache: Cache | None = None,
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
            position_ids: and the next four: as in :meth:`EncoderModel.forward`.
            encoder_hidden_states: ``[B, S, H]``.
            encoder_attention_mask: ``[B, S]``.
            cache: keys and values of the tokens before.
            use_cache: whether to return the cache.
            labels: ``[B, L]`` ids, not shifted, -100 where nothing is asked (in UniLM mode, at the source).
            logits_to_keep: logits of this many last tokens only, or of these; 0: of all.
            **kwargs: of :meth:`EncoderModel.forward`; also ``shift_labels`` ``[B, L]``, for each token the id of the
                next one, or -100: before ``labels``, which cannot be shifted here where rows are packed or parts of a
                text.
        """
        # No argument of its own: Trainer would take it for a second column of labels, and wait for both.
        shift_labels = kwargs.pop("shift_labels", None)
        outputs = self.base_model(
            input_ids,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            position_ids=position_ids,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            cache=cache,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.cls(outputs.last_hidden_state[:, keep])
        loss = None
        if shift_labels is not None:
            # The loss takes a view, which a part of a tensor, as of labels of a longer text, does not give.
            shift_labels = shift_labels.contiguous()
        if labels is not None or shift_labels is not None:
            loss = self.loss_function(logits, labels, self.config.vocab_size, shift_labels=shift_labels, **kwargs)
        return CausalLMOutputWithCrossAttentions(
            loss=loss,
            logits=logits,
            cache=outputs.cache,
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
        new = model_kwargs.get("generated_token_type_ids")
        if new is None and self.config.resolved_attention_mode == "unilm":
            # What is generated is the target, where the base class repeats the type of the last token.
            new = 1
        if new is not None:
            types = model_kwargs.get("token_type_ids")
            # Without types for the prompt only those of what is generated are kept.
            types = (
                outputs.logits.new_zeros((len(outputs.logits), num_new_tokens), dtype=torch.long)
                if types is None
                else types.clone()
            )
            types[:, -num_new_tokens:] = new[:, None] if isinstance(new, Tensor) else new
            model_kwargs["token_type_ids"] = types
        return model_kwargs

    def prepare_inputs_for_generation(
        self: Any,
        input_ids: Any,
        *args: Any,
        inputs_embeds: Tensor | None = None,
        generated_token_type_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Complete the token types of a prompt that has none, which are 0, and leave the rest to the library.

        ``generated_token_type_ids`` ``[B]`` is an argument of ``generate``: the type of all that is generated, such as
        that of the speaker who answers. Left out, it is 1 in UniLM mode and else that of the prompt's last token.
        """
        types = kwargs.get("token_type_ids")
        if types is not None and types.shape[1] < input_ids.shape[1]:
            kwargs["token_type_ids"] = nn.functional.pad(types, (input_ids.shape[1] - types.shape[1], 0))
        kwargs["inputs_embeds"] = inputs_embeds
        # The library hands on to the model what only its stopping criteria and candidates are for.
        for name in ("tokenizer", "assistant_tokenizer"):
            kwargs.pop(name, None)
        return GenerationMixin.prepare_inputs_for_generation(self, input_ids, *args, **kwargs)

    def _assisted_decoding(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The library gives a draft the type of the last token: as part of a source it would see its own future.
        if kwargs.get("generated_token_type_ids") is not None or self.config.resolved_attention_mode == "unilm":
            raise ValueError(
                'assisted generation gives a draft the type of the last token: not under attention_mode="unilm" or '
                "with generated_token_type_ids; "
                "generate without assistant_model and prompt_lookup_num_tokens"
            )
        return GenerationMixin._assisted_decoding(self, *args, **kwargs)

    @staticmethod
    @takes_past_key_values
    def create_masks_for_generate(
        config: EncoderConfig,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None,
        cache: Cache | None,
        token_type_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Build the mask ahead of a step with a cache of fixed size; the library's own knows no UniLM."""
        mode = config.resolved_attention_mode
        return padded_mask(config, mode, inputs_embeds, attention_mask, token_type_ids, None, cache)
