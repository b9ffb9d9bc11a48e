"""From texts with events to model inputs with token positions, and back."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hf_ext.data.span_collator import DataCollatorForSpanExtraction
from hf_ext.data.span_encoding import SpanEncoder, TokenBorders, decode_spans
from hf_ext.data.windows import Window, decode_windows, merge_spans, trim
from hf_ext.tasks.events.labels import TRIGGER, event_label, split_event_label

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy import ndarray

Arguments = frozenset[tuple[str, int, int]]

MOST_JOINED = 256
"""Events that may reach from one window into the next."""


class DataCollatorForEventExtraction(DataCollatorForSpanExtraction):
    """Pads model inputs with the tokenizer, and ``labels`` to ``[B, M, 4]`` with -100."""

    label_width = 4


class EventEncoder(SpanEncoder):
    """Encodes batches of texts with events; a text longer than ``max_length`` gives several rows.

    As `SpanEncoder`, with ``{"text": [...], "events": [[{"type", "arguments"}]]}`` as `read_events` gives them, and
    ``labels`` ``[event, label, first token, last token]``, where ``label2id`` has the ids of ``"type|role"``. A row
    holds the arguments that lie in it; ``lost_entities`` counts events that do not come back with all their arguments.
    """

    annotations: ClassVar[str] = "events"
    lost_where: ClassVar[str] = (
        "are part of another, have an argument that begins or ends inside a token, or are divided among windows"
    )

    def locate(
        self, text: str, annotations: Sequence[Mapping[str, Any]], borders: TokenBorders
    ) -> Sequence[Sequence[int]]:
        """The arguments of a row."""
        labels = []
        for number, event in enumerate(annotations):
            for argument in event["arguments"]:
                name = event_label(event["type"], argument["role"])
                if name not in self.label2id:
                    raise ValueError(f"type and role must be one of {sorted(self.label2id)}, got {name!r}")
                if place := borders.tokens(argument):
                    labels.append([number, self.label2id[name], *place])
        return labels

    def decode(
        self, row: Sequence[Sequence[float]], offsets: Sequence[Sequence[int]], names: Mapping[int, str], text: str
    ) -> list[dict[str, Any]]:
        """What is in the predictions for a row, as `decode_events` takes them."""
        return decode_events(row, offsets, names, text)

    def merge(self, found: list[list[dict[str, Any]]], windows: Sequence[Window]) -> list[dict[str, Any]]:
        """The events of a text, from what is in each of its windows."""
        return merge_events(found, windows)

    def key(self, text: str, annotation: Mapping[str, Any]) -> Hashable:
        """Type and arguments."""
        arguments = annotation["arguments"]
        return annotation["type"], frozenset((one["role"], *trim(text, one["start"], one["end"])) for one in arguments)


def decode_events(
    predictions: "Sequence[Sequence[float]] | ndarray",
    offsets: Sequence[Sequence[int]],
    id2label: Mapping[int, str],
    text: str,
) -> list[dict[str, Any]]:
    """The events in one row's predictions.

    Args:
        predictions: ``[K, 5]`` of (event, label, first token, last token, score); rows with a negative event are
            padding.
        offsets: ``[L, 2]``, the row's ``offset_mapping``.
        id2label: ``"type|role"`` of each label.
        text: the text that the offsets point into.

    Returns:
        Dicts ``{"type", "arguments", "score"}``; arguments on tokens without text, such as [CLS], are left out.

    Raises:
        ValueError: if a span is not within the row's tokens.
    """
    events: dict[int, list[dict[str, Any]]] = {}
    for event, *span in predictions:
        if event >= 0:
            events.setdefault(int(event), []).extend(decode_spans([span], offsets, id2label, text))
    return [_event(spans) for spans in events.values() if spans]


def merge_events(events: Sequence[Sequence[Mapping[str, Any]]], windows: Sequence[Window]) -> list[dict[str, Any]]:
    """Merge the events found in overlapping windows of one text.

    Two events of neighbouring windows are one if they have the same arguments in what both windows see, and any there.
    Arguments that a border may have cut are left out as `merge_spans` does, and events that are part of another. Where
    several events of each window fit together, their number grows as a product: of those that reach into a window, the
    best are kept, as many as are found in it, or `MOST_JOINED` if these are fewer.

    Args:
        events: for each window what `decode_events` gives.
        windows: the windows in their order.

    Returns:
        The events in the order of the text.
    """
    spans = [
        [{**one, "label": event_label(event["type"], one["role"])} for event in row for one in event["arguments"]]
        for row in events
    ]
    whole = {(one["label"], one["start"], one["end"]): one for one in merge_spans(spans, windows)}
    merged: dict[Arguments, float] = {}
    # Events that reach into the window before, as far as they are known.
    open_: dict[Arguments, float] = {}
    for number, (row, (left, _)) in enumerate(zip(events, windows)):
        shared = windows[number - 1][1] if number else left
        before, open_ = open_, {}
        joined: set[Arguments] = set()
        for event in row:
            found = {(event_label(event["type"], one["role"]), one["start"], one["end"]) for one in event["arguments"]}
            own = frozenset(found & whole.keys())
            if not own:
                continue
            inside = {one for one in own if one[2] <= shared}
            same = [old for old in before if inside and inside == {one for one in old if one[1] >= left}]
            same = [old for old in same if _type(old) == _type(own)]
            joined.update(same)
            for old in same or [frozenset()]:
                score = min(event["score"], before.get(old, event["score"]))
                open_[own | old] = max(score, open_.get(own | old, score))
        merged |= {event: score for event, score in before.items() if event not in joined}
        if len(open_) > (most := max(MOST_JOINED, len(row))):
            open_ = dict(sorted(open_.items(), key=lambda one: -one[1])[:most])
    merged |= open_
    return [
        _event([{**whole[one], "score": merged[event]} for one in sorted(event, key=_place)])
        for event in sorted(_largest(merged), key=lambda event: [_place(one) for one in sorted(event, key=_place)])
    ]


def _largest(events: Collection[Arguments]) -> list[Arguments]:
    """The events that are part of no other."""
    holders: dict[tuple[str, int, int], list[Arguments]] = {}
    for event in events:
        for argument in event:
            holders.setdefault(argument, []).append(event)
    return [
        event
        for event in events
        if not any(event < other for other in min((holders[argument] for argument in event), key=len))
    ]


def with_trigger(events: Iterable[dict[str, Any]], id2label: Mapping[int, str]) -> list[dict[str, Any]]:
    """The events that have a trigger, or all if no label is one: what is found without its trigger is part of one."""
    if not any(split_event_label(label)[1] == TRIGGER for label in id2label.values()):
        return list(events)
    return [event for event in events if any(one["role"] == TRIGGER for one in event["arguments"])]


def decode_event_dataset(
    predictions: "Sequence[Any] | ndarray",
    encoded: "Dataset",
    texts: Sequence[str],
    id2label: Mapping[int, str],
) -> list[list[dict[str, Any]]]:
    """The events of each text from the predictions for all rows of an encoded dataset, windows merged.

    Args:
        predictions: ``[N, K, 5]``, one entry for each row of ``encoded``, in their order.
        encoded: what :meth:`EventEncoder.encode_dataset` returned.
        texts: the texts in their order before encoding.
        id2label: ``"type|role"`` of each label.

    Raises:
        ValueError: if there is not one prediction for each row.
    """

    def decode(row: Any, offsets: Any, text: str) -> list[dict[str, Any]]:
        return decode_events(row, offsets, id2label, text)

    return [merge_events(*pair) for pair in decode_windows(predictions, encoded, texts, decode)]


def _event(spans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An event from its arguments, spans with their labels."""
    arguments = [
        {"role": split_event_label(span["label"])[1], **{key: span[key] for key in ("start", "end", "text")}}
        for span in spans
    ]
    event_type = split_event_label(spans[0]["label"])[0]
    return {"type": event_type, "arguments": arguments, "score": min(span["score"] for span in spans)}


def _type(event: Arguments) -> str:
    return split_event_label(next(iter(event))[0])[0]


def _place(argument: tuple[str, int, int]) -> tuple[int, int, str]:
    return argument[1], argument[2], argument[0]
