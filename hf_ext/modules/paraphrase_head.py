"""The head that learns to generate paraphrases and to retrieve them at once (kexue.fm/archives/7427, 8454).

Shapes: B batch (two rows for each pair), L tokens, H hidden, E embedding size, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.losses.similarity import paraphrase_similarity_loss
from hf_ext.modules.causal_lm_head import CausalLMHead
from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.ops.gather import gather_rows
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.precision import at_least_float32


@dataclass
class ParaphraseOutput(ModelOutput):
    """What a paraphrase model returns when it is given labels.

    Attributes:
        loss: scalar, the sum of the next two.
        lm_loss: scalar, mean cross-entropy of the target's tokens.
        similarity_loss: scalar, mean cross-entropy of finding each row's paraphrase in the batch.
        lm_losses: ``[B]``, sum of each row's cross-entropies.
        pooler_output: ``[B, H]``, embeddings of the rows' sources.
        hidden_states: of all layers, where they are asked for.
        attentions: the same.
    """

    loss: Tensor | None = None
    lm_loss: Tensor | None = None
    similarity_loss: Tensor | None = None
    lm_losses: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class ParaphraseHead(CausalLMHead):
    """A UniLM whose source also gives an embedding; one forward trains both.

    Under the UniLM mask the first token sees the source alone, so the pooler on it embeds the source whatever follows.
    The parameters are those of the family's ``ForCausalLM``, and checkpoints load into each other.

    ``similarity_scale`` is what cosines are multiplied by: an attribute of the class, to be set on a model at will.
    """

    similarity_scale = 30.0
    reads_pooler = True
    smooths_labels = False
    # In-batch negatives are those of a batch on its own; Trainer divides by the accumulation steps.
    accepts_loss_kwargs = False

    def __init__(self, config: EncoderConfig):
        wanted = {"attention_mode": ("unilm",), "pooler_activation": ("linear", "tanh")}
        for field, values in wanted.items():
            if getattr(config, field) not in values:
                allowed = " or ".join(map(repr, values))
                raise ValueError(
                    f"{field} must be {allowed} in a {type(self).__name__}, got {getattr(config, field)!r}; "
                    "from_pretrained takes it as a keyword"
                )
        super().__init__(config)

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
        num_items_in_batch: Tensor | int | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Any:
        """Losses of pairs, or without ``labels`` what ``ForCausalLM`` returns.

        In training, where there are several processes, the losses are those of the rows of all of them.

        Logits are made at the tokens before a label only, and not returned.

        Args:
            input_ids: ``[B, L]``, each row a source and its target; rows 2i and 2i+1 are a pair both ways.
            attention_mask: ``[B, L]``.
            token_type_ids: ``[B, L]``: 0 for the source, 1 for the target.
            inputs_embeds: ``[B, L, E]`` in place of ``input_ids``.
            position_ids: ``[B or 1, L]``.
            encoder_hidden_states: and the next three and ``logits_to_keep``: without labels, as in
                :meth:`CausalLMHead.forward`.
            encoder_attention_mask: mask of the former.
            cache: keys and values of the tokens before.
            use_cache: whether to return the cache.
            labels: ``[B, L]`` ids, not shifted, -100 at the source and at padding.
            num_items_in_batch: number of labels that ``lm_loss`` is divided by; None: their number in this call.
            logits_to_keep: which logits to make.
            **kwargs: of :meth:`EncoderModel.forward`; also ``shift_labels`` ``[B, L]``, for each token the id of the
                next one, or -100: in place of ``labels``.

        Raises:
            ValueError: if there are labels and the number of rows is odd, or no token types, without which nothing
                tells the source from the target.
        """
        shift_labels = kwargs.pop("shift_labels", None)
        inputs: dict[str, Any] = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "inputs_embeds": inputs_embeds,
            "position_ids": position_ids,
            **kwargs,
        }
        if labels is None and shift_labels is None:
            return super().forward(
                **inputs,
                encoder_hidden_states=encoder_hidden_states,
                encoder_attention_mask=encoder_attention_mask,
                cache=cache,
                use_cache=use_cache,
                logits_to_keep=logits_to_keep,
                return_dict=True,
            )
        if token_type_ids is None:
            raise ValueError("token_type_ids must tell source (0) from target (1) where there are labels, got None")
        if shift_labels is None:
            assert labels is not None
            shift_labels = F.pad(labels[:, 1:], (0, 1), value=-100)
        outputs = self.base_model(**inputs, use_cache=False, return_dict=True)
        lm_losses = self._target_losses(outputs.last_hidden_state, shift_labels)
        rows = (outputs.pooler_output, lm_losses, (shift_labels != -100).sum(-1))
        # An evaluation need not be one of all processes.
        embeddings, losses, counts = map(gather_rows, rows) if self.training else rows
        if num_items_in_batch is None:
            num_items_in_batch = counts.sum().clamp(min=1)
        lm_loss = losses.sum() / num_items_in_batch
        similarity_loss = paraphrase_similarity_loss(embeddings, self.similarity_scale)
        return ParaphraseOutput(
            loss=lm_loss + similarity_loss,
            lm_loss=lm_loss,
            similarity_loss=similarity_loss,
            lm_losses=lm_losses,
            pooler_output=outputs.pooler_output,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _target_losses(self, hidden_states: Tensor, shift_labels: Tensor) -> Tensor:
        """Sum of the cross-entropies of each row of ``[B, L, H]``, with logits of half the tokens."""
        if in_graph():
            # A graph has no place for a number of tokens that only the data knows.
            return F.cross_entropy(at_least_float32(self.cls(hidden_states)).mT, shift_labels, reduction="none").sum(-1)
        row, place = (shift_labels != -100).nonzero(as_tuple=True)
        logits = at_least_float32(self.cls(hidden_states[row, place]))
        losses = F.cross_entropy(logits, shift_labels[row, place], reduction="none")
        return losses.new_zeros(len(shift_labels)).index_add(0, row, losses)
