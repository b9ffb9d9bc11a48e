"""What heads with a tag a token share: a CRF, a MEMM or a softmax over any encoder (kexue.fm/archives/5542, 7213)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.modules.adapters import takes_prefix
from hf_ext.modules.crf import ConditionalRandomField, IndependentTags, MaximumEntropyMarkovModel, TagChain
from hf_ext.ops.graphs import is_exported
from hf_ext.ops.tag_rules import TagRules, tag_rules
from hf_ext.tasks.base.head import EncoderHead

SEQUENCE_HEADS: dict[str, type[TagChain]] = {
    "crf": ConditionalRandomField,
    "memm": MaximumEntropyMarkovModel,
    "softmax": IndependentTags,
}
"""Classes of the head by the name in ``config.sequence_head``."""


@dataclass
class SequenceLabelingOutput(ModelOutput):
    """What a sequence labelling model returns.

    Attributes:
        loss: scalar, where labels are given: of a CRF the mean over rows of the negative log-likelihood, of the others
            the mean over tokens.
        logits: ``[B, L, K]`` emissions; only in training without labels, in exported and traced graphs, or on
            ``output_logits=True``.
        tags: int64 ``[B, L]``, the best sequence, -100 where left out; in evaluation, but for exported and traced
            graphs, whose number of steps cannot depend on the length.
        hidden_states: the encoder's, if asked for.
        attentions: the encoder's, if asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    tags: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class TagClassifier(nn.Module):
    """The head's layers: ``dense`` gives emissions, ``chain`` scores sequences of tags.

    Args:
        hidden_size: H.
        chain: of the tags.
    """

    def __init__(self, hidden_size: int, chain: TagChain) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, chain.num_tags)
        self.chain = chain

    def forward(self, hidden: Tensor) -> Tensor:
        """Emissions ``[B, L, K]`` of ``[B, L, H]``."""
        return self.dense(hidden)


class TagHead(EncoderHead):
    """Mixin of a head that gives each token a tag, with regard to its neighbours'; set ``suffix``.

    Config fields: ``sequence_head`` ("crf", "memm" or "softmax"); ``tag_scheme`` ("BIO", "BMES" or "BIOES"; None: told
    by the tags in ``id2label`` when it is needed); ``constrained_transitions`` (False; True forbids sequences against
    the scheme, for a CRF in training as well); ``untagged_token_ids`` (None; tokens such as [CLS] that get no tag when
    there are no labels to tell); ``head_lr_multiplier`` (100; how much faster transitions learn under Trainer, see
    :mod:`hf_ext.training.head_learning_rate`; kexue.fm/archives/7196 finds that a CRF on a pre-trained encoder needs
    100 or more).
    """

    fields: ClassVar[dict[str, Any]] = {
        "sequence_head": "crf",
        "tag_scheme": None,
        "constrained_transitions": False,
        "untagged_token_ids": None,
        "head_lr_multiplier": 100.0,
    }
    classifier: TagClassifier

    @property
    def accepts_loss_kwargs(self) -> bool:
        """Whether Trainer is to tell the number of tokens; a mean over rows it divides by the accumulation steps."""
        return self.config.sequence_head != "crf"

    def build_classifier(self, config: PreTrainedConfig) -> TagClassifier:
        """The layers that the config names.

        Raises:
            ValueError: if a field of the config is invalid.
        """
        if config.sequence_head not in SEQUENCE_HEADS:
            raise ValueError(f"sequence_head must be one of {', '.join(SEQUENCE_HEADS)}, got {config.sequence_head!r}")
        if not config.head_lr_multiplier > 0:
            raise ValueError(f"head_lr_multiplier must be positive, got {config.head_lr_multiplier}")
        count = config.num_labels or 0
        chain = SEQUENCE_HEADS[config.sequence_head](count, _rules(config, count))
        return TagClassifier(config.get_text_config().hidden_size, chain)

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        special_tokens_mask: Tensor | None = None,
        output_logits: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceLabelingOutput:
        """Tag tokens. Those that are left out, anywhere in a row, are as if the others stood side by side.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, padded on either side; None if all tokens are real.
            token_type_ids: ``[B, L]``; left out for encoders that have none.
            inputs_embeds: ``[B, L, H]``, instead of ``input_ids``.
            labels: integers ``[B, L]`` in [0, K), -100 where a token is left out: special tokens, all but the first
                piece of a word. Those of padding are not read.
            special_tokens_mask: ``[B, L]``, nonzero at tokens to leave out; of use without labels.
            output_logits: return the emissions; None: in training without labels, and where the model is exported.
            num_items_in_batch: what a mean over tokens is divided by instead of by their number in this batch.
            **kwargs: passed on to the encoder.

        Raises:
            ValueError: if a shape does not fit, or (on a CPU, outside of compiled graphs) an emission is NaN, a label
                is out of range, or the labels of a row break the rules of a constrained CRF.
        """
        outputs = self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        emissions = self.classifier(self.dropout(outputs.last_hidden_state))
        attention_mask = self.own_columns(attention_mask, emissions.shape[1], kwargs)
        mask = self.tagged(emissions, input_ids, attention_mask, labels, special_tokens_mask)
        if output_logits is None:
            output_logits = is_exported() or (self.training and labels is None)
        return SequenceLabelingOutput(
            loss=None if labels is None else self._loss(emissions, labels, mask, num_items_in_batch),
            logits=emissions if output_logits else None,
            tags=None if self.training or is_exported() else self.decode(emissions, mask),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def decode(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The best tags ``[B, L]``, -100 where ``mask`` leaves out."""
        return self.classifier.chain.decode(self.limited(emissions, mask), mask)[0]

    def limited(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The emissions ``[B, L, K]`` that tags are found by: as they are, unless a head rules out some.

        Args:
            emissions: ``[B, L, K]``.
            mask: bool ``[B, L]``, which tokens get a tag.
        """
        return emissions

    def _loss(self, emissions: Tensor, labels: Tensor, mask: Tensor, num_items: Tensor | int | None) -> Tensor:
        loss = self.classifier.chain(emissions, labels, mask)
        return loss if num_items is None or not self.accepts_loss_kwargs else loss * (mask.sum() / num_items)

    def tagged(
        self,
        emissions: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        special_tokens_mask: Tensor | None = None,
    ) -> Tensor:
        """Which tokens get a tag: bool ``[B, L]``. Arguments as in `forward`.

        Raises:
            ValueError: if labels are no integers ``[B, L]``, or a mask has another shape.
        """
        shape = emissions.shape[:2]
        for name, value in (("attention_mask", attention_mask), ("special_tokens_mask", special_tokens_mask)):
            if value is not None and value.shape != shape:
                raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(value.shape)}")
        if labels is not None and (labels.shape != shape or labels.is_floating_point()):
            raise ValueError(
                f"labels must be integers of shape {tuple(shape)}, got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        mask = torch.ones(shape, dtype=torch.bool, device=emissions.device)
        if attention_mask is not None:
            mask = attention_mask.bool()
        if labels is not None:
            # Some collators pad labels with a tag, and padding is no part of a sequence.
            return mask & (labels != -100)
        if special_tokens_mask is not None:
            return mask & ~special_tokens_mask.bool()
        untagged = self.config.untagged_token_ids
        if untagged and input_ids is not None:
            # Not by torch.isin, which sorts, as graphs of ONNX do not.
            mask = mask & (input_ids.unsqueeze(-1) != torch.tensor(untagged, device=input_ids.device)).all(-1)
        return mask


def _rules(config: PreTrainedConfig, count: int) -> TagRules | None:
    if not config.constrained_transitions and config.tag_scheme is None:
        return None
    names: Any = config.id2label
    try:
        rules = tag_rules([names[number] for number in range(count)], config.tag_scheme)
    except ValueError as error:
        raise ValueError(f"id2label must give the tags of a scheme: {error}") from error
    return rules if config.constrained_transitions else None
