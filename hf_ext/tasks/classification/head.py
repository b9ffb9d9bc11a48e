"""Classification over any encoder by one linear layer, as in the CLUE baselines (kexue.fm/archives/8739)."""

from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.losses.classification import classification_loss
from hf_ext.modules.adapters import takes_prefix
from hf_ext.tasks.base.head import auto_class, head_class_by_name
from hf_ext.tasks.base.linear_head import LinearHead


class LinearClassification(LinearHead):
    """Head that classifies a text or a pair by one linear layer over the encoder's last states.

    A family's own class puts a pooler, tanh and dropout there. Config field: ``linear_pooling`` ("first_token", "mean"
    or "max").
    """

    suffix = "ForLinearClassification"

    def num_outputs(self, config: PreTrainedConfig) -> int:
        """One for each class."""
        labels: Any = config.num_labels
        return int(labels)

    @property
    def smooths_labels(self) -> bool:  # type: ignore[override]
        """Whether Trainer can smooth the labels: classes of which each text has one."""
        config: Any = self.config
        return bool(config.problem_type in (None, "single_label_classification") and config.num_labels > 1)

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify: ``logits`` ``[B, C]`` in float32 or better.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, padded on either side; None if all tokens are real.
            token_type_ids: ``[B, L]``; left out for encoders that have none.
            inputs_embeds: ``[B, L, H]``, instead of ``input_ids``.
            labels: class ids ``[B]``, -100 to leave out; floats ``[B, C]`` of several classes each; or targets of a
                regression; ``config.problem_type`` says which, or their type and ``num_labels`` do.
            num_items_in_batch: number of labels that the loss is divided by; Trainer gives it.
            **kwargs: passed on to the encoder.

        Raises:
            ValueError: if a mask is not ``[B, L]``, labels do not fit, or ``position_ids`` mark packed documents.
        """
        self.check_one_text_a_row(attention_mask, kwargs.get("position_ids"))
        outputs: Any = self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        logits = self.scores_of(outputs.last_hidden_state, attention_mask, kwargs)
        loss = None
        if labels is not None:
            loss = classification_loss(logits, labels, self.config.problem_type, num_items_in_batch)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


AutoModelForLinearClassification = auto_class(LinearClassification, 'id2label=..., label2id=..., linear_pooling="mean"')
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, LinearClassification)
