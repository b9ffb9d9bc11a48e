"""Relation extraction by half pointers over any encoder: subjects, then their objects (kexue.fm/archives/7161)."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils.generic import can_return_tuple

from hf_ext.modules.adapters import takes_prefix
from hf_ext.modules.half_pointer import HalfPointers
from hf_ext.ops.graphs import is_exported
from hf_ext.ops.nearest_ends import nearest_ends
from hf_ext.ops.pointer_loss import check_span_labels
from hf_ext.tasks.base.head import (
    EncoderHead,
    auto_class,
    check_at_least_one,
    check_threshold,
    head_class_by_name,
    score_above,
)
from hf_ext.tasks.base.linked_span_head import LinkedSpanOutput

# Subjects whose tables of objects are made at once.
_SUBJECTS = 16


class HalfPointerRelations(EncoderHead):
    """Head that finds (subject, relation, object) by half pointers: subjects first, then the objects of each.

    A subject ends at the nearest end at or after its first token, and an object at the nearest one of its relation. So
    of spans that begin at one token the shortest is found. Relations are the config's ``id2label``. Config fields:
    ``span_top_k`` (256; subjects looked at and relations returned a row), ``score_threshold`` (0.4; first and last
    tokens have scores whose logistic function is above this).

    Labels are ``[B, M, 5]`` of (relation, subject's first token, its last, object's first, its last), predictions
    ``[B, K, 6]`` of the same and the score, the least of those of the four tokens, best first.

    The loss is a mean over rows of means over the row's tokens. The original averages over the tokens of a batch, which
    is the same where rows are of one length, and otherwise depends on which rows are in a batch.
    """

    suffix = "ForHalfPointerRelations"
    fields: ClassVar[dict[str, Any]] = {"span_top_k": 256, "score_threshold": 0.4}
    classifier: HalfPointers
    # The loss is a mean over rows, so Trainer is to divide it by the number of accumulation steps.
    accepts_loss_kwargs = False

    def build_classifier(self, config: PreTrainedConfig) -> HalfPointers:
        """The layers.

        Raises:
            ValueError: if a field of the config is invalid.
        """
        check_at_least_one(config, "span_top_k")
        check_threshold(config)
        if not config.num_labels:
            raise ValueError("id2label must name at least one predicate, got none")
        return HalfPointers(config.get_text_config().hidden_size, config.num_labels)

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        subject: Tensor | None = None,
        output_logits: bool | None = None,
        above: float | None = None,
        **kwargs: Any,
    ) -> LinkedSpanOutput:
        """Score subjects, and the objects of one; in evaluation also find the relations.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, padded on either side; None if all tokens are real.
            token_type_ids: ``[B, L]``; left out for encoders that have none.
            inputs_embeds: ``[B, L, H]``, instead of ``input_ids``.
            labels: integers ``[B, M, 5]``, token positions, padded with -100.
            subject: first and last token ``[B, 2]`` of the subject whose objects are scored, any where a row has no
                relation; None: that of the first label, or without labels the best.
            output_logits: return the scores ``[B, L, 2]`` of subjects and ``[B, L, P, 2]`` of objects, -inf at padding;
                None: in training without labels, and where the model is exported.
            above: predict what scores more than this; None: than the score of ``config.score_threshold``.
            **kwargs: passed on to the encoder.

        Raises:
            ValueError: if a mask, the labels or subjects do not have these shapes, ``position_ids`` mark packed
                documents, or (outside of compiled graphs) a labelled span is not within the real tokens or its relation
                not among those of the config.
        """
        self.check_one_text_a_row(attention_mask, kwargs.get("position_ids"))
        outputs = self.encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs)
        hidden = self.dropout(outputs.last_hidden_state)
        attention_mask = self.own_columns(attention_mask, hidden.shape[1], kwargs)
        real = _real(hidden, attention_mask)
        subjects = self.classifier.subjects(hidden)
        loss = logits = predictions = None
        if output_logits is None:
            output_logits = is_exported() or (self.training and labels is None)
        if labels is not None:
            self._check_labels(labels, hidden.shape[:2], attention_mask)
        if labels is not None or output_logits:
            chosen = self._subject(subject, labels, subjects, real)
            objects = self.classifier.objects(hidden, chosen)
            if labels is not None:
                loss = self.classifier.losses(subjects, objects, labels, chosen, real).mean()
            if output_logits:
                logits = (_but_padding(subjects, real), _but_padding(objects, real))
        if not self.training and not is_exported():
            predictions = self._predictions(hidden, subjects, real, score_above(self.config, above))
        return LinkedSpanOutput(
            loss=loss,
            logits=logits,
            predictions=predictions,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _check_labels(self, labels: Tensor, shape: tuple[int, int], attention_mask: Tensor | None) -> None:
        if labels.ndim != 3 or labels.shape[2] != 5:
            raise ValueError(f"labels must have shape [{shape[0]}, M, 5], got {tuple(labels.shape)}")
        for entity in ([0, 1, 2], [0, 3, 4]):
            check_span_labels(labels[..., entity], self.classifier.num_labels, shape, attention_mask)

    def _subject(self, given: Tensor | None, labels: Tensor | None, subjects: Tensor, real: Tensor) -> Tensor:
        """First and last token ``[B, 2]`` of the subject whose objects are scored."""
        if given is not None:
            if given.shape != (len(real), 2) or given.is_floating_point():
                wanted = f"integers of shape [{len(real)}, 2]"
                raise ValueError(f"subject must be {wanted}, got {given.dtype} of shape {list(given.shape)}")
            # In a row without relations nothing is learnt of it.
            return given.clamp(0, real.shape[1] - 1)
        if labels is not None:
            first = (labels[..., 0] >= 0).int().argmax(1)
            return labels[torch.arange(len(labels), device=labels.device), first, 1:3].clamp_min(0)
        starts, ends = _but_padding(subjects.detach(), real).unbind(-1)
        first = starts.argmax(1, keepdim=True)
        place = torch.arange(real.shape[1], device=real.device)
        last = ends.masked_fill(place < first, -torch.inf).argmax(1, keepdim=True)
        return torch.cat((first, last), 1)

    @torch.no_grad()
    def _predictions(self, hidden: Tensor, subjects: Tensor, real: Tensor, above: float) -> Tensor:
        """``[B, K, 6]``, of the subjects of one text at a time."""
        most = self.config.span_top_k
        table = subjects.new_tensor([-1.0] * 5 + [0.0], dtype=torch.float32).repeat(len(hidden), most, 1)
        for row, (states, scores) in enumerate(zip(hidden, _but_padding(subjects, real))):
            starts, ends = (scores > above).unbind(-1)
            nearest = nearest_ends(ends)
            (first,) = (starts & (nearest < len(ends))).nonzero(as_tuple=True)
            last = nearest[first]
            least = torch.minimum(scores[first, 0], scores[last, 1])
            kept = least.argsort(descending=True, stable=True)[:most]
            pairs, least = torch.stack((first, last), -1)[kept], least[kept]
            found = pairs.new_empty(0, 6, dtype=scores.dtype)
            for begin in range(0, len(pairs), _SUBJECTS):
                part = slice(begin, begin + _SUBJECTS)
                more = self._objects(states, real[row], pairs[part], least[part], above)
                found = torch.cat((found, more))
                # Of equal ones the first, on any device.
                found = found[found[:, 5].argsort(descending=True, stable=True)[:most]]
            table[row, : len(found)] = found.float()
        return table

    def _objects(self, states: Tensor, real: Tensor, subjects: Tensor, least: Tensor, above: float) -> Tensor:
        """Relations ``[n, 6]`` of subjects ``[S, 2]`` of one text, whose own scores are ``least`` ``[S]``."""
        scores = self.classifier.objects(states.expand(len(subjects), *states.shape), subjects)
        # [S, P, L] each: ends are looked for along the text.
        starts, ends = _but_padding(scores, real.expand(len(subjects), -1)).transpose(1, 2).unbind(-1)
        nearest = nearest_ends(ends > above)
        number, predicate, first = ((starts > above) & (nearest < len(real))).nonzero(as_tuple=True)
        last = nearest[number, predicate, first]
        score = torch.minimum(starts[number, predicate, first], ends[number, predicate, last])
        score = torch.minimum(score, least[number])
        places = torch.stack((predicate, *subjects[number].unbind(-1), first, last), -1)
        return torch.cat((places.to(score.dtype), score.unsqueeze(-1)), -1)


def _real(hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Which tokens are real, bool ``[B, L]``."""
    if attention_mask is None:
        return torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    return attention_mask.to(hidden.device).bool()


def _but_padding(scores: Tensor, real: Tensor) -> Tensor:
    """Scores ``[B, L, ...]``, -inf at padding."""
    return scores.masked_fill(~real.reshape(*real.shape, *(1,) * (scores.dim() - 2)), -torch.inf)


AutoModelForHalfPointerRelations = auto_class(HalfPointerRelations, "id2label=..., label2id=...")
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, HalfPointerRelations)
