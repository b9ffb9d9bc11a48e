"""Event extraction by GPLinker over any encoder (kexue.fm/archives/8926)."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from hf_ext.modules.linked_pointers import LinkedPointers, Triple
from hf_ext.ops.cliques import weighed_cliques
from hf_ext.ops.pointer_loss import check_span_labels
from hf_ext.tasks.base.head import auto_class, head_class_by_name
from hf_ext.tasks.base.linked_span_head import LinkedSpanHead, Links
from hf_ext.tasks.events.labels import split_event_label


class EventExtraction(LinkedSpanHead):
    """Head that finds events: arguments with their type and role, and which of them belong together.

    Any two arguments of an event are linked, so the events of a type are the maximal cliques of its arguments; events
    may share arguments. Labels in the config's ``id2label`` are ``"type|role"``, the trigger a role like others.
    Config fields: ``span_head_size`` (64), ``span_top_k`` (256; arguments looked at and rows returned a text),
    ``score_threshold`` (0.5; what is predicted has scores whose logistic function is above this).

    Labels are ``[B, M, 4]`` of (event, label, first token, last token), where events of a row are numbered in any way;
    predictions ``[B, K, 5]`` of the same and the event's score, the least of its arguments' and links'.
    """

    suffix = "ForEventExtraction"
    label_name = "role"
    ordered = True
    prediction_width = 5

    def label_counts(self, num_labels: int) -> tuple[int, int]:
        """Of arguments, and of links, which are all of one kind."""
        return num_labels, 1

    def build_classifier(self, config: PreTrainedConfig) -> LinkedPointers:
        """The three pointers, after noting the type of each label.

        Raises:
            ValueError: if a field of the config is invalid.
        """
        classifier = super().build_classifier(config)
        # Labels without the mark are all of one type, as those of a config that was not told any.
        names: Any = config.id2label
        self.types = [split_event_label(names[label])[0] for label in range(len(names))]
        return classifier

    def split_labels(self, labels: Tensor, shape: tuple[int, int], attention_mask: Tensor | None) -> Triple:
        """Labels of arguments ``[B, M, 3]``, and of pairs in an event ``[B, M (M - 1) / 2, 3]``, from ``[B, M, 4]``."""
        if labels.ndim != 3 or labels.shape[2] != 4:
            raise ValueError(f"labels must have shape [{shape[0]}, M, 4], got {tuple(labels.shape)}")
        spans = labels[..., 1:]
        check_span_labels(spans, self.classifier.spans.num_labels, shape, attention_mask)
        one, other = torch.triu_indices(labels.shape[1], labels.shape[1], offset=1, device=labels.device)
        event = labels[..., 0]
        apart = (event[:, one] != event[:, other]) | (labels[:, one, 1] == -100) | (labels[:, other, 1] == -100)
        first, last = (
            torch.stack((torch.zeros_like(x), torch.minimum(x, y), torch.maximum(x, y)), -1)
            for x, y in ((labels[:, one, place], labels[:, other, place]) for place in (2, 3))
        )
        return Triple(spans, *(link.masked_fill(apart.unsqueeze(-1), -100) for link in (first, last)))

    def decode(self, spans: Tensor, heads: Links, tails: Links, above: float) -> Tensor:
        """Arguments of events ``[n, 5]`` of one text; of more than there is room for, whole events are left out."""
        links = torch.minimum(*(_undirected(*pair) for pair in ((heads, spans[:, 1]), (tails, spans[:, 2]))))
        arguments = spans.tolist()
        types = [self.types[int(argument[0])] for argument in arguments]
        found = weighed_cliques(types, spans[:, 3].tolist(), links.tolist(), above, self.config.span_top_k)
        rows = [[event, *arguments[one][:3], least] for event, (own, least) in enumerate(found) for one in own]
        return spans.new_tensor(rows).reshape(-1, 5)


def _undirected(link: Links, places: Tensor) -> Tensor:
    """Scores ``[N, N]`` of links between N places, each read at (the smaller, the larger)."""
    positions = places.long()
    table = link(positions, positions)[0]
    return torch.where(positions[:, None] <= positions, table, table.mT)


AutoModelForEventExtraction = auto_class(
    EventExtraction, 'id2label={0: "type|role", ...}, label2id=..., span_head_size=64'
)
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, EventExtraction)
