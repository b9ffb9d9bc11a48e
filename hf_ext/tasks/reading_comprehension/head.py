"""Extractive reading comprehension over any encoder: the answer to a question as a span of its text.

By GlobalPointer with a softmax over all spans (kexue.fm/archives/8373, 8739), or by a start and an end as in BERT
(arXiv 1810.04805, kexue.fm/archives/7321).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, initialization as init
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.losses.rows import can_look, check_logits, reduced
from hf_ext.losses.span import span_softmax_loss
from hf_ext.modules.adapters import takes_prefix
from hf_ext.modules.global_pointer import GlobalPointer
from hf_ext.ops.answer_spans import best_answer_spans
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.pointer import pointer_scores, span_mask
from hf_ext.ops.precision import at_least_float32
from hf_ext.tasks.base.head import EncoderHead, auto_class, check_at_least_one, head_class_by_name


@dataclass
class ReadingComprehensionOutput(ModelOutput):
    """What a reading comprehension model returns; positions count from the row's first real token.

    Attributes:
        loss: scalar, where labels are given: the mean over rows that have a label.
        spans: ``[B, K, 3]`` float32 of (start, end, score), both inclusive, best first, (-1, -1, -inf) where a row has
            no more; in evaluation. The score is the logarithm of the span's probability, or what it is made of.
        null_scores: ``[B]`` float32, the score of the row having no answer; in evaluation.
        logits: scores ``[B, L, L]`` of spans (start, end), -inf where none may stand; only in training without labels
            or on ``output_logits=True``. Here, positions are those of the row.
        hidden_states: the encoder's, if asked for.
        attentions: the encoder's, if asked for.
    """

    loss: Tensor | None = None
    spans: Tensor | None = None
    null_scores: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class PointerTable(GlobalPointer):
    """The pointer of the CLUE baseline (kexue.fm/archives/8739): without a bias, and begun as BERT's layers.

    Args:
        hidden_size: H.
        num_labels: number of types C.
        head_size: D, even.
    """

    def __init__(self, hidden_size: int, num_labels: int, head_size: int = 64) -> None:
        super().__init__(hidden_size, num_labels, head_size, bias=False)

    def init_weights(self) -> None:
        """Begin as BERT: small normal weights, cut at two deviations. Tensors loaded from a checkpoint are spared."""
        init.trunc_normal_(self.dense.weight, std=0.02, a=-0.04, b=0.04)


class StartEnd(nn.Module):
    """Scores of each token as the first and as the last of the answer.

    Args:
        hidden_size: H.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, 2)

    def init_weights(self) -> None:
        """Begin as BERT: small normal weights, zero bias. Tensors loaded from a checkpoint are spared."""
        init.normal_(self.dense.weight, std=0.02)
        init.zeros_(self.dense.bias)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Scores ``[B, L]`` of starts and of ends, in float32 or better, of ``[B, L, H]``."""
        start, end = at_least_float32(self.dense(hidden)).unbind(-1)
        return start, end


ANSWER_HEADS: dict[str, type[GlobalPointer] | type[StartEnd]] = {
    "global_pointer": GlobalPointer,
    "pointer_table": PointerTable,
    "start_end": StartEnd,
    "start_end_row": StartEnd,
}
"""Classes of the head by the name in ``config.answer_head``."""

RANKINGS = ("odds", "score")
"""How answers of several windows are compared, by the name in ``config.answer_ranking``."""


class ReadingComprehension(EncoderHead):
    """Head that finds the span of a text that answers a question, or that none does.

    A row is a question with a window of its text, which ``context_mask`` marks. That it has no answer is the span of
    the row's first real token alone, [CLS] in BERT's kin, and never part of the context.

    Config fields: ``answer_head`` ("global_pointer": a softmax over all spans; "pointer_table": that of the CLUE
    baseline, without a bias, whose softmax is also over the spans from the row's first token into the context;
    "start_end": one over starts and one over ends, whose cross-entropies are averaged, as ``...ForQuestionAnswering``
    has them, but over the context alone; "start_end_row": the same over all tokens of the row, as the LIC2020
    baseline), ``answer_head_size`` (64; of the pointer's vectors), ``answer_top_k`` (20; spans returned a row),
    ``max_answer_tokens`` (128; no longer span is returned), ``null_threshold`` (None; what decoding uses unless told
    otherwise: there is no answer where it scores more than this above the best span, None: there always is one),
    ``answer_ranking`` (what decoding compares in several windows of a text: "odds", how many times as likely an answer
    is as none in its own window; "score", the scores themselves, as the CLUE baseline).

    Probabilities are shares of the spans that may be returned, and no answer; of "start_end" products of those of the
    start and the end. Under the ranking by "score" those of a pointer are left as they are: they are no logarithms of
    probabilities then, but what windows are compared by.
    """

    suffix = "ForReadingComprehension"
    fields: ClassVar[dict[str, Any]] = {
        "answer_head": "global_pointer",
        "answer_head_size": 64,
        "answer_top_k": 20,
        "max_answer_tokens": 128,
        "null_threshold": None,
        "answer_ranking": "odds",
    }
    # A GlobalPointer or a StartEnd; PEFT puts another module over it.
    classifier: Any

    @property
    def has_pointer(self) -> bool:
        """Whether one softmax is over all spans, and not one over starts and one over ends."""
        return issubclass(ANSWER_HEADS[self.config.answer_head], GlobalPointer)

    def build_classifier(self, config: PreTrainedConfig) -> GlobalPointer | StartEnd:
        """The layers that the config names.

        Raises:
            ValueError: if a field of the config is invalid.
        """
        if config.answer_head not in ANSWER_HEADS:
            raise ValueError(f"answer_head must be one of {', '.join(ANSWER_HEADS)}, got {config.answer_head!r}")
        if config.answer_ranking not in RANKINGS:
            raise ValueError(f"answer_ranking must be one of {', '.join(RANKINGS)}, got {config.answer_ranking!r}")
        check_at_least_one(config, "answer_top_k", "max_answer_tokens")
        options = (1, config.answer_head_size) if self.has_pointer else ()
        return ANSWER_HEADS[config.answer_head](config.get_text_config().hidden_size, *options)

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        context_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_logits: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        max_answer_tokens: int | None = None,
        **kwargs: Any,
    ) -> ReadingComprehensionOutput:
        """Score spans of the context.

        In evaluation only the best spans are returned, and no table of scores is made.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, padded on either side; None if all tokens are real.
            token_type_ids: ``[B, L]``; left out for encoders that have none.
            inputs_embeds: ``[B, L, H]``, instead of ``input_ids``.
            context_mask: ``[B, L]``, nonzero at tokens of the context; `ReadingEncoder` makes it.
            labels: integers ``[B, 2]`` of (start, end), both inclusive, counted from the row's first real token; (0, 0)
                for no answer; rows of -100 are left out.
            output_logits: return the scores; None: in training without labels.
            num_items_in_batch: number of labels, -100 not counted, that the loss is divided by; Trainer gives it, over
                all processes and steps of an accumulation.
            max_answer_tokens: instead of that of the config.
            **kwargs: passed on to the encoder.

        Raises:
            ValueError: if a mask or the labels do not have these shapes, ``context_mask`` is missing or marks padding
                or the first real token, ``position_ids`` mark packed documents, or (outside of compiled graphs) a
                labelled span is not within the context, or a score NaN (that makes the loss NaN on a GPU, for gradient
                scaling to deal with).
        """
        self.check_one_text_a_row(attention_mask, kwargs.get("position_ids"))
        outputs = self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        hidden = self.dropout(outputs.last_hidden_state)
        attention_mask = self.own_columns(attention_mask, hidden.shape[1], kwargs)
        context, first = _context(hidden, attention_mask, context_mask)
        parts = self._parts(hidden, context, first, attention_mask)
        if output_logits is None:
            output_logits = self.training and labels is None
        loss = logits = spans = null_scores = None
        if labels is not None:
            loss = self._loss(parts, _places(labels, context, first), context, first, num_items_in_batch)
        if output_logits:
            logits = self._table(parts, context, first)
        if not self.training:
            longest = self.config.max_answer_tokens if max_answer_tokens is None else max_answer_tokens
            spans, null_scores = self._best(parts, context, first, longest)
        return ReadingComprehensionOutput(
            loss=loss,
            spans=spans,
            null_scores=null_scores,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def table(self, hidden: Tensor, attention_mask: Tensor | None, context_mask: Tensor | None) -> Tensor:
        """Scores ``[B, L, L]`` of spans, as `forward` gives them on ``output_logits``, of ``[B, L, H]``."""
        context, first = _context(hidden, attention_mask, context_mask)
        return self._table(self._parts(hidden, context, first, attention_mask), context, first)

    def _parts(
        self, hidden: Tensor, context: Tensor, first: Tensor, attention_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Vectors ``[B, L, D]`` of starts and ends, or logarithms of their probabilities ``[B, L]``."""
        if self.has_pointer:
            query, key = (part.squeeze(2) for part in self.classifier.project(hidden))
            return query, key
        start, end = self.classifier(hidden)
        if self.config.answer_head == "start_end_row":
            out = torch.zeros_like(context) if attention_mask is None else attention_mask.to(hidden.device) == 0
        else:
            out = ~(context | _marked(context, first))
        start, end = (F.log_softmax(scores.masked_fill(out, -torch.inf), -1) for scores in (start, end))
        return start, end

    def _table(self, parts: tuple[Tensor, Tensor], context: Tensor, first: Tensor) -> Tensor:
        """Scores ``[B, L, L]``, -inf but at no answer, at spans of the context and where else the softmax is."""
        length = context.shape[1]
        null = _marked(context, first)
        if self.config.answer_head == "pointer_table":
            allowed = span_mask(length, context | null)
        else:
            allowed = span_mask(length, context) | (null[:, :, None] & null[:, None, :])
        return self._scores(parts)(slice(0, length), slice(0, length)).masked_fill(~allowed, -torch.inf)

    def _scores(self, parts: tuple[Tensor, Tensor]) -> Callable[[slice, slice], Tensor]:
        """What gives the scores ``[B, R, S]`` of slices of starts and ends."""
        start, end = parts
        if self.has_pointer:
            return lambda starts, ends: pointer_scores(start[:, starts, None], end[:, ends, None]).squeeze(1)
        return lambda starts, ends: start[:, starts, None] + end[:, None, ends]

    def _loss(
        self,
        parts: tuple[Tensor, Tensor],
        labels: Tensor,
        context: Tensor,
        first: Tensor,
        num_items_in_batch: Tensor | int | None,
    ) -> Tensor:
        if self.has_pointer:
            table = self._table(parts, context, first)
            check_logits(table, "scores")
            losses = span_softmax_loss(table, labels, "none")
        else:
            for scores in parts:
                check_logits(scores, "scores")
            start, end = (
                scores.gather(1, place.clamp_min(0)[:, None]).squeeze(1) for scores, place in zip(parts, labels.mT)
            )
            losses = -(start + end) / 2
        counted = labels[:, 0] >= 0
        if num_items_in_batch is None:
            return reduced(losses, counted, "mean")
        # A row has two labels.
        rows = torch.as_tensor(num_items_in_batch, device=losses.device) / 2
        return reduced(losses, counted, "sum") / rows.clamp(min=1)

    @torch.no_grad()
    def _best(
        self, parts: tuple[Tensor, Tensor], context: Tensor, first: Tensor, longest: int
    ) -> tuple[Tensor, Tensor]:
        spans, total = best_answer_spans(self._scores(parts), context, self.config.answer_top_k, longest)
        row = torch.arange(first.shape[0], device=first.device)
        start, end = (part[row, first[:, 0]].unsqueeze(1) for part in parts)
        one = slice(0, 1)
        null = self._scores((start, end))(one, one).flatten()
        # Of starts and ends the scores are logarithms of probabilities already.
        shares = self.has_pointer and self.config.answer_ranking == "odds"
        total = torch.logaddexp(total, null) if shares else torch.zeros_like(total)
        found = spans[..., 0] >= 0
        places = torch.where(found.unsqueeze(-1), spans[..., :2] - first.unsqueeze(-1), spans[..., :2])
        spans = torch.cat((places, spans[..., 2:] - total[:, None, None]), -1)
        return spans.float(), (null - total).float()


def _marked(context: Tensor, first: Tensor) -> Tensor:
    """Bool ``[B, L]``, True at the place ``first`` ``[B, 1]`` of each row."""
    return torch.arange(context.shape[1], device=context.device) == first


def _context(hidden: Tensor, attention_mask: Tensor | None, context_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Where the context is, bool ``[B, L]``, and each row's first real token ``[B, 1]``."""
    shape = hidden.shape[:2]
    if context_mask is None:
        raise ValueError(
            "context_mask must mark the tokens of the context, got None; ReadingEncoder and "
            "DataCollatorForReadingComprehension make it"
        )
    for name, mask in (("attention_mask", attention_mask), ("context_mask", context_mask)):
        if mask is not None and mask.shape != shape:
            raise ValueError(f"{name} must have shape {list(shape)}, got {list(mask.shape)}")
    context = context_mask.to(hidden.device).bool()
    if attention_mask is None:
        first = torch.zeros(shape[0], 1, dtype=torch.long, device=hidden.device)
        wrong = context[:, :1]
    else:
        real = attention_mask.to(hidden.device).bool()
        first = real.int().argmax(1, keepdim=True)
        wrong = (context & ~real).any(1, keepdim=True) | context.gather(1, first)
    if can_look(wrong) and wrong.any():
        row = int(wrong.flatten().nonzero()[0])
        raise ValueError(f"context_mask must mark neither padding nor the first real token, got that in row {row}")
    return context, first


def _places(labels: Tensor, context: Tensor, first: Tensor) -> Tensor:
    """Labels ``[B, 2]`` as positions in the padded rows, -100 where left out.

    Raises:
        ValueError: naming the first wrong one.
    """
    batch, length = context.shape
    if labels.shape != (batch, 2) or labels.is_floating_point():
        wanted = f"integers of shape [{batch}, 2]"
        raise ValueError(f"labels must be {wanted}, got {labels.dtype} of shape {list(labels.shape)}")
    left_out = (labels == -100).all(1, keepdim=True)
    places = labels.long() + first
    if not in_graph():
        inside = (places >= 0) & (places < length)
        inside &= context.gather(1, places.clamp(0, length - 1)) | (labels == 0).all(1, keepdim=True)
        wrong = ~(inside.all(1) & (labels[:, 0] <= labels[:, 1]) | left_out[:, 0])
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise ValueError(
                f"labels[{row}] must be (start, end) with start <= end, both on the {int(context[row].sum())} tokens "
                f"of the context, (0, 0) for no answer or (-100, -100), got {tuple(labels[row].tolist())}"
            )
    return places.masked_fill(left_out, -100)


AutoModelForReadingComprehension = auto_class(ReadingComprehension, 'answer_head="global_pointer", answer_head_size=64')
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, ReadingComprehension)
