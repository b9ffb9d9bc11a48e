"""One of several choices over any encoder by one linear layer, as in the CLUE baselines (kexue.fm/archives/8739).

Shapes: B rows, K choices, L tokens, H hidden.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.modeling_outputs import MultipleChoiceModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.losses.classification import classification_loss
from hf_ext.losses.rows import can_look
from hf_ext.modules.adapters import takes_prefix
from hf_ext.modules.encoder_model import one_input
from hf_ext.tasks.base.head import auto_class, head_class_by_name
from hf_ext.tasks.base.linear_head import LinearHead


class LinearChoice(LinearHead):
    """Head that picks one of several choices, a row each, by one linear layer over the encoder's last states.

    A family's own class puts a pooler, tanh and dropout there. Config field: ``linear_pooling`` ("first_token", "mean"
    or "max").
    """

    suffix = "ForLinearChoice"

    def num_outputs(self, config: PreTrainedConfig) -> int:
        """A score."""
        return 1

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> MultipleChoiceModelOutput:
        """Score choices: ``logits`` ``[B, K]`` in float32 or better, -inf of choices that are not there.

        Args:
            input_ids: ``[B, K, L]``.
            attention_mask: ``[B, K, L]``, padded on either side; None if all tokens are real. A choice with no more
                than one real token is not there, see `present_choices`.
            token_type_ids: ``[B, K, L]``; left out for encoders that have none.
            inputs_embeds: ``[B, K, L, H]``, instead of ``input_ids``.
            position_ids: ``[B, K, L]``.
            labels: the right choices ``[B]``, -100 to leave out.
            num_items_in_batch: number of labels that the loss is divided by; Trainer gives it.
            **kwargs: passed on to the encoder.

        Raises:
            ValueError: if the inputs or a mask have another shape, a label is not one of the choices that are there, or
                ``position_ids`` mark packed documents.
        """
        shape = one_input(input_ids, inputs_embeds, "B, K, L").shape[:3]
        if attention_mask is not None and attention_mask.shape != shape:
            raise ValueError(f"attention_mask must have shape {list(shape)}, got {list(attention_mask.shape)}")
        ids, mask, types, embeds, positions = (
            None if one is None else one.flatten(0, 1)
            for one in (input_ids, attention_mask, token_type_ids, inputs_embeds, position_ids)
        )
        if positions is not None:
            kwargs["position_ids"] = positions
        self.check_one_text_a_row(mask, positions)
        outputs: Any = self.encode(ids, mask, types, embeds, **kwargs)
        logits = self.scores_of(outputs.last_hidden_state, mask, kwargs).view(shape[:2])
        if attention_mask is not None:
            logits = logits.masked_fill(~present_choices(attention_mask), -torch.inf)
        loss = None
        if labels is not None:
            _check_there(logits, labels)
            loss = classification_loss(logits, labels, "single_label_classification", num_items_in_batch)
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


def present_choices(attention_mask: Tensor) -> Tensor:
    """Which choices are there, bool ``[B, K]``: those of ``[B, K, L]`` with more than one real token.

    Rows of fewer choices than others are filled up with a first token alone, as a row without any would be NaN in some
    encoders.
    """
    return (attention_mask != 0).sum(-1) > 1


def _check_there(logits: Tensor, labels: Tensor) -> None:
    if labels.shape != logits.shape[:1] or not can_look(logits):
        return
    inside = (labels >= 0) & (labels < logits.shape[1])
    scores = logits.gather(1, labels.clamp(0, logits.shape[1] - 1)[:, None]).squeeze(1)
    wrong = inside & (scores == -torch.inf)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(f"labels must be of choices that are there, got {int(labels[row])} in row {row}")


AutoModelForLinearChoice = auto_class(LinearChoice, 'linear_pooling="first_token"')
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, LinearChoice)
