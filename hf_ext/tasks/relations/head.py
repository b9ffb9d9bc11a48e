"""Relation extraction by GPLinker over any encoder, overlapping entities included (kexue.fm/archives/8888)."""

from typing import Any

import torch
from torch import Tensor

from hf_ext.modules.linked_pointers import Triple
from hf_ext.ops.pointer_loss import check_span_labels
from hf_ext.tasks.base.head import auto_class, head_class_by_name
from hf_ext.tasks.base.linked_span_head import LinkedSpanHead, Links

_SUBJECT, _OBJECT = 0, 1


class RelationExtraction(LinkedSpanHead):
    """Head that finds (subject, predicate, object), where any two entities may overlap or be the same.

    A triple is predicted where four scores are above 0: its subject as a subject, its object as an object, and for its
    predicate the pair of first and the pair of last tokens. Predicates are the config's ``id2label``. Config fields:
    ``span_head_size`` (64), ``span_top_k`` (256; entities looked at and triples returned a row),
    ``score_threshold`` (0.5; what is predicted has scores whose logistic function is above this).

    Labels are ``[B, M, 5]`` of (predicate, subject's first token, its last, object's first, its last), predictions
    ``[B, K, 6]`` of the same and the score, the least of the four, best first.
    """

    suffix = "ForRelationExtraction"
    label_name = "predicate"
    ordered = False
    prediction_width = 6

    def label_counts(self, num_labels: int) -> tuple[int, int]:
        """Of subjects and objects, and of links."""
        return 2, num_labels

    def split_labels(self, labels: Tensor, shape: tuple[int, int], attention_mask: Tensor | None) -> Triple:
        """Labels of entities ``[B, 2M, 3]``, first tokens and last tokens ``[B, M, 3]``, from ``[B, M, 5]``."""
        if labels.ndim != 3 or labels.shape[2] != 5:
            raise ValueError(f"labels must have shape [{shape[0]}, M, 5], got {tuple(labels.shape)}")
        for entity in ([0, 1, 2], [0, 3, 4]):
            check_span_labels(labels[..., entity], self.classifier.heads.num_labels, shape, attention_mask)
        padded = labels[..., :1] == -100
        subjects, objects = (
            torch.cat((torch.full_like(padded, role, dtype=labels.dtype), span), -1).masked_fill(padded, -100)
            for role, span in ((_SUBJECT, labels[..., 1:3]), (_OBJECT, labels[..., 3:5]))
        )
        return Triple(torch.cat((subjects, objects), 1), labels[..., [0, 1, 3]], labels[..., [0, 2, 4]])

    def decode(self, spans: Tensor, heads: Links, tails: Links, above: float) -> Tensor:
        """Triples ``[n, 6]`` of one text, best first."""
        subjects, objects = spans[spans[:, 0] == _SUBJECT], spans[spans[:, 0] == _OBJECT]
        (subject_first, subject_last), (object_first, object_last) = (
            entity[:, 1:3].long().unbind(-1) for entity in (subjects, objects)
        )
        links = torch.minimum(heads(subject_first, object_first), tails(subject_last, object_last))
        scores = torch.minimum(links, torch.minimum(subjects[:, None, 3], objects[:, 3])).float().flatten()
        (index,) = (scores > above).nonzero(as_tuple=True)
        best, most = scores[index], self.config.span_top_k
        if len(index) > most:
            kept = best >= best.topk(most).values[-1]
            best, index = best[kept], index[kept]
        # Of equal ones the first, on any device.
        best, order = best.sort(descending=True, stable=True)
        best, index = best[:most], index[order][:most]
        pair = index % max(1, len(subjects) * len(objects))
        subject, object_ = pair // max(1, len(objects)), pair % max(1, len(objects))
        predicate = index // max(1, len(subjects) * len(objects))
        return torch.cat((predicate[:, None], subjects[subject, 1:3], objects[object_, 1:3], best[:, None]), -1)


AutoModelForRelationExtraction = auto_class(RelationExtraction, "id2label=..., label2id=..., span_head_size=64")
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, RelationExtraction)
