"""Span extraction by GlobalPointer over any encoder: entities, nested or not (kexue.fm/archives/8373)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.modules.adapters import takes_prefix
from hf_ext.modules.global_pointer import EfficientGlobalPointer, GlobalPointer, SpanScorer
from hf_ext.tasks.base.head import (
    EncoderHead,
    auto_class,
    check_at_least_one,
    check_threshold,
    head_class_by_name,
    score_above,
)

SPAN_HEADS: dict[str, type[EfficientGlobalPointer] | type[GlobalPointer]] = {
    "efficient_global_pointer": EfficientGlobalPointer,
    "global_pointer": GlobalPointer,
}
"""Classes of the head by the name in ``config.span_head``."""


@dataclass
class SpanExtractionOutput(ModelOutput):
    """What a span extraction model returns.

    Attributes:
        loss: scalar, where labels are given: the mean over rows and types of the multi-label softmax cross-entropy.
        logits: ``[B, C, L, L]`` scores (row, type, start, end), both inclusive, -inf where no span may stand; only in
            training without labels or on ``output_logits=True``. A span is predicted where its score is above 0.
        spans: ``[B, K, 4]`` float32 of (label, start, end, score), best first, -1 where a row has no more; in
            evaluation.
        hidden_states: the encoder's, if asked for.
        attentions: the encoder's, if asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    spans: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class SpanExtraction(EncoderHead):
    """Head that scores every span of tokens for every type.

    Config fields: ``span_head`` ("efficient_global_pointer" or "global_pointer"), ``span_head_size`` (64),
    ``span_rope`` (True), ``span_top_k`` (256; spans returned a row), ``score_threshold`` (0.5; spans are predicted
    where the logistic function of their score is above this). Types are the config's ``id2label``. [CLS] and [SEP] are
    tokens like others, as in the original; spans on them have no characters and are dropped when they are
    decoded.
    """

    suffix = "ForSpanExtraction"
    fields: ClassVar[dict[str, Any]] = {
        "span_head": "efficient_global_pointer",
        "span_head_size": 64,
        "span_rope": True,
        "span_top_k": 256,
        "score_threshold": 0.5,
    }
    classifier: SpanScorer
    # The loss is a mean over rows, so Trainer is to divide it by the number of accumulation steps.
    accepts_loss_kwargs = False

    def build_classifier(self, config: PreTrainedConfig) -> SpanScorer:
        """The pointer that the config names.

        Raises:
            ValueError: if a field of the config is invalid.
        """
        if config.span_head not in SPAN_HEADS:
            raise ValueError(f"span_head must be one of {', '.join(SPAN_HEADS)}, got {config.span_head!r}")
        check_at_least_one(config, "span_top_k")
        check_threshold(config)
        pointer = SPAN_HEADS[config.span_head]
        hidden_size = config.get_text_config().hidden_size
        return pointer(hidden_size, config.num_labels or 0, config.span_head_size, rope=config.span_rope)

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
    ) -> SpanExtractionOutput:
        """Score spans.

        In evaluation only the best spans are returned, not the scores: Trainer gathers what a model returns, pads it in
        its second dimension alone, and would have to keep ``B * C * L * L`` numbers a batch. In training with labels
        and the efficient head, the scores are not even made.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, padded on either side; None if all tokens are real.
            token_type_ids: ``[B, L]``; left out for encoders that have none.
            inputs_embeds: ``[B, L, H]``, instead of ``input_ids``.
            labels: integers ``[B, M, 3]`` of (label, start, end), token positions, both inclusive, padded with -100.
            output_logits: return the scores; None: in training without labels.
            above: predict spans that score more than this; None: than the score of ``config.score_threshold``.
            **kwargs: passed on to the encoder.

        Raises:
            ValueError: if the mask or the labels do not have these shapes, ``position_ids`` mark packed documents, or
                (outside of compiled graphs) a labelled span is not within the real tokens, its label not among the
                types, or a score NaN (that makes the loss NaN on a GPU, for gradient scaling to deal with).
        """
        self.check_one_text_a_row(attention_mask, kwargs.get("position_ids"))
        outputs = self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        hidden = self.dropout(outputs.last_hidden_state)
        attention_mask = self.own_columns(attention_mask, hidden.shape[1], kwargs)
        pointer = self.classifier
        parts = pointer.project(hidden)
        if output_logits is None:
            output_logits = self.training and labels is None
        loss = logits = spans = None
        if labels is not None:
            loss = pointer.losses(*parts, labels, attention_mask, pointer.ordered).mean()
        if not self.training:
            spans = pointer.top_spans(
                *parts, self.config.span_top_k, attention_mask, pointer.ordered, score_above(self.config, above)
            )
        if output_logits:
            logits = pointer.score(*parts, pointer.allowed(hidden, attention_mask))
        return SpanExtractionOutput(
            loss=loss,
            logits=logits,
            spans=spans,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


AutoModelForSpanExtraction = auto_class(
    SpanExtraction, 'id2label=..., label2id=..., span_head="global_pointer", span_head_size=64'
)
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, SpanExtraction)
