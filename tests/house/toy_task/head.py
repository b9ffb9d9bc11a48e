"""Whether a text says something good, over any encoder."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.tasks.base.head import EncoderHead, auto_class, head_class_by_name


@dataclass
class VerdictOutput(ModelOutput):
    """What the model returns: the loss, where labels are given, and ``logits`` ``[B]``, above 0 for what is good."""

    loss: Tensor | None = None
    logits: Tensor | None = None


class Verdict(EncoderHead):
    """Head that scores a text by its first token."""

    suffix = "ForVerdict"
    fields: ClassVar[dict[str, Any]] = {"verdict_bias": True}

    def build_classifier(self, config: PreTrainedConfig) -> nn.Linear:
        """A number of a vector."""
        return nn.Linear(config.hidden_size, 1, bias=config.verdict_bias)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> VerdictOutput:
        """Score texts; ``labels`` are ``[B]`` of 0 and 1."""
        outputs = self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        logits = self.classifier(self.dropout(outputs.last_hidden_state[:, 0])).squeeze(-1)
        loss = None if labels is None else binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        return VerdictOutput(loss, logits)


AutoModelForVerdict = auto_class(Verdict, "verdict_bias=False")
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, Verdict)
