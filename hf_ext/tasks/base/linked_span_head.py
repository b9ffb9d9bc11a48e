"""What the heads of relations and events share: GPLinker's pointers over any encoder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.modules.adapters import takes_prefix
from hf_ext.modules.linked_pointers import LinkedPointers, Parts, Triple, link_scores
from hf_ext.ops.graphs import is_exported
from hf_ext.tasks.base.head import EncoderHead, check_at_least_one, check_threshold, score_above

Links = Callable[[Tensor, Tensor], Tensor]
"""Scores ``[P, R, S]`` of one text at the positions ``[R]`` and ``[S]``."""


@dataclass
class LinkedSpanOutput(ModelOutput):
    """What a relation or event extraction model returns.

    Attributes:
        loss: scalar, where labels are given.
        logits: scores ``[B, C, L, L]`` of spans and ``[B, P, L, L]`` of links between first and between last tokens,
            -inf where no pair may stand; only in training without labels, in exported and traced graphs, or on
            ``output_logits=True``.
        predictions: ``[B, K, W]`` float32, the relations or arguments of events, -1 where a row has no more; in
            evaluation, but for exported and traced graphs, which cannot decode.
        hidden_states: the encoder's, if asked for.
        attentions: the encoder's, if asked for.
    """

    loss: Tensor | None = None
    logits: tuple[Tensor, ...] | None = None
    predictions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class LinkedSpanHead(EncoderHead):
    """Mixin of a head over `LinkedPointers`: say what labels mean to each pointer, and decode one text's scores."""

    fields: ClassVar[dict[str, Any]] = {"span_head_size": 64, "span_top_k": 256, "score_threshold": 0.5}
    label_name: ClassVar[str]
    """What ``id2label`` names."""
    ordered: ClassVar[bool]
    """Whether links are undirected, and stand at (the smaller, the larger position)."""
    prediction_width: ClassVar[int]
    classifier: LinkedPointers
    # The loss is a mean over rows, so Trainer is to divide it by the number of accumulation steps.
    accepts_loss_kwargs = False

    def build_classifier(self, config: PreTrainedConfig) -> LinkedPointers:
        """The three pointers.

        Raises:
            ValueError: if a field of the config is invalid.
        """
        check_at_least_one(config, "span_top_k")
        check_threshold(config)
        if not config.num_labels:
            raise ValueError(f"id2label must name at least one {self.label_name}, got none")
        spans, links = self.label_counts(config.num_labels)
        hidden_size = config.get_text_config().hidden_size
        return LinkedPointers(hidden_size, spans, links, config.span_head_size, ordered=self.ordered)

    def label_counts(self, num_labels: int) -> tuple[int, int]:
        """Numbers of labels of spans and of links, from that of ``id2label``."""
        raise NotImplementedError

    def split_labels(self, labels: Tensor, shape: tuple[int, int], attention_mask: Tensor | None) -> Triple:
        """Labels ``[B, M, 3]`` of each pointer, after checking those of the head.

        Raises:
            ValueError: if the labels are invalid.
        """
        raise NotImplementedError

    def decode(self, spans: Tensor, heads: Links, tails: Links, above: float) -> Tensor:
        """At most ``config.span_top_k`` predictions of one text.

        Args:
            spans: ``[N, 4]`` of (label, first token, last token, score), best first.
            heads: scores of links between first tokens.
            tails: the same between last tokens.
            above: what is predicted scores more than this.

        Returns:
            ``[n, W]``.
        """
        raise NotImplementedError

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_logits: bool | None = None,
        above: float | None = None,
        **kwargs: Any,
    ) -> LinkedSpanOutput:
        """Score spans and links; in evaluation also decode them.

        The tables of link scores are made on ``output_logits`` alone.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, padded on either side; None if all tokens are real.
            token_type_ids: ``[B, L]``; left out for encoders that have none.
            inputs_embeds: ``[B, L, H]``, instead of ``input_ids``.
            labels: integers ``[B, M, W]`` as the head has them, token positions, padded with -100.
            output_logits: return the scores; None: in training without labels, and where the model is exported.
            above: predict what scores more than this; None: than the score of ``config.score_threshold``.
            **kwargs: passed on to the encoder.

        Raises:
            ValueError: if the mask or the labels do not have these shapes, ``position_ids`` mark packed documents, or
                (outside of compiled graphs) a labelled span is not within the real tokens or its label not
                among those of the config.
        """
        self.check_one_text_a_row(attention_mask, kwargs.get("position_ids"))
        outputs = self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        hidden = self.dropout(outputs.last_hidden_state)
        attention_mask = self.own_columns(attention_mask, hidden.shape[1], kwargs)
        own = None if labels is None else self.split_labels(labels, hidden.shape[:2], attention_mask)
        parts = self.classifier.project(hidden)
        if output_logits is None:
            output_logits = is_exported() or (self.training and labels is None)
        least = score_above(self.config, above)
        return LinkedSpanOutput(
            loss=None if own is None else self.classifier.loss(parts, own, attention_mask),
            logits=tuple(self.classifier.scores(parts, hidden, attention_mask)) if output_logits else None,
            predictions=None if self.training or is_exported() else self._predictions(parts, attention_mask, least),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @torch.no_grad()
    def _predictions(self, parts: tuple[Parts, Parts, Parts], attention_mask: Tensor | None, above: float) -> Tensor:
        """``[B, K, W]``; no table of scores is made."""
        pointer, _, _ = self.classifier.pointers
        spans = pointer.top_spans(*parts[0], self.config.span_top_k, attention_mask, pointer.ordered, above)
        missing = spans.new_tensor([-1.0] * (self.prediction_width - 1) + [0.0])
        table = missing.repeat(len(spans), spans.shape[1], 1)
        for row, own in enumerate(spans):
            heads, tails = (partial(link_scores, tuple(part[row] for part in link)) for link in parts[1:])
            found = self.decode(own[own[:, 0] >= 0], heads, tails, above)
            table[row, : len(found)] = found
        return table
