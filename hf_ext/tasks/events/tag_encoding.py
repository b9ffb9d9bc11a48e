"""From texts with events to a tag a token, each of which has a type and a role, and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from hf_ext.data.tag_encoding import TagEncoder
from hf_ext.tasks.events.labels import TRIGGER, event_label, split_event_label

OUTSIDE = "O"


class EventTagEncoder(TagEncoder):
    """Encodes batches of texts with events for tagging; see :class:`hf_ext.data.TagEncoder` for rows and windows.

    As it takes ``{"text": [...], "entities": [...]}``, this takes ``{"text": [...], "events": [...]}`` as `read_events`
    gives them, whose arguments are the spans, see `spans_of_events`. Special tokens such as [CLS] have the tag of what
    is outside, as in the original. ``lost_entities`` counts arguments, triggers aside.

    Attributes:
        by_string: as of `spans_of_events`.
    """

    annotations: ClassVar[str] = "events"
    counted: ClassVar[str] = "arguments"
    by_string: bool = False

    def __call__(
        self, batch: Mapping[str, Sequence[Any]], indices: Sequence[int] | None = None
    ) -> dict[str, list[Any]]:
        """Encode a batch; see `SpanEncoder.__call__`."""
        if "events" in batch:
            pairs = zip(batch["text"], batch["events"])
            batch = {**batch, "events": [spans_of_events(text, events, self.by_string) for text, events in pairs]}
        columns = super().__call__(batch, indices)
        if "labels" in columns:
            outside = self.tags.index(OUTSIDE)
            columns["labels"] = [[outside if tag < 0 else tag for tag in row] for row in columns["labels"]]
        return columns

    def count(self, annotations: Iterable[Any]) -> int:
        """How many arguments there are in texts."""
        return sum(one["role"] != TRIGGER for row in annotations for event in row for one in event["arguments"])


def spans_of_events(text: str, events: Iterable[Mapping[str, Any]], by_string: bool = False) -> list[dict[str, Any]]:
    """The arguments of events as spans ``{"start", "end", "label"}``, triggers aside.

    Args:
        text: what they stand in.
        events: ``{"type", "arguments"}``.
        by_string: as the original: a string is an argument once, where it first occurs, with the role that is listed
            last. Else each argument stands at its own place. Tags have one role for a place, the first.
    """
    listed = [(event["type"], one) for event in events for one in event["arguments"] if one["role"] != TRIGGER]
    if by_string:
        labels = {text[one["start"] : one["end"]]: event_label(kind, one["role"]) for kind, one in listed}
        return [
            {"start": text.index(surface), "end": text.index(surface) + len(surface), "label": label}
            for surface, label in labels.items()
        ]
    spans = [
        {"start": one["start"], "end": one["end"], "label": event_label(kind, one["role"])} for kind, one in listed
    ]
    return [span for number, span in enumerate(spans) if span not in spans[:number]]


def events_of_spans(spans: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Events of the spans of a text: all arguments of one type are one event.

    Tags do not tell which arguments belong together; the original makes an event of each, which is the same to a score
    of arguments.

    Args:
        spans: ``{"start", "end", "label", "score", "text"}``.

    Returns:
        Dicts ``{"type", "arguments", "score"}`` in the order of the text, the score the least of the arguments'.
    """
    events: dict[str, dict[str, Any]] = {}
    for span in spans:
        kind, role = split_event_label(span["label"])
        event = events.setdefault(kind, {"type": kind, "arguments": [], "score": span["score"]})
        event["arguments"].append({"role": role, **{name: span[name] for name in ("start", "end", "text")}})
        event["score"] = min(event["score"], span["score"])
    return list(events.values())
