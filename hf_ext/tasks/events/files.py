"""Reads files of texts with events; the format is detected from the content."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from hf_ext.data.formats.registry import Example, read_as
from hf_ext.data.formats.source import Source
from hf_ext.data.places import checked_span, locate
from hf_ext.data.text_lines import FileLine, fail, json_objects, read_lines
from hf_ext.tasks.base.task_files import TaskFiles
from hf_ext.tasks.events.labels import ROLE_MARK, TRIGGER, event_label

logger = logging.getLogger(__name__)

# Of DuEE-fin, a trigger or an argument that is not in its text.
_LOST: dict[str, Any] = {}
_NO_PLACE: Any = object()


def read_events(path: str | os.PathLike[str], labels: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Read texts with events from JSON lines, or an array, of our own, of DuEE 1.0, of DuEE-fin or a shared format.

    1. ``{"text", "events": [{"type", "arguments": [{"role", "start", "end"}]}]}``, ``end`` exclusive; a trigger is an
       argument of the role `TRIGGER`, and may be missing.
    2. DuEE 1.0: ``{"text", "event_list": [{"event_type", "trigger", "trigger_start_index", "arguments": [{"role",
       "argument", "argument_start_index"}]}]}``. In a file with events, lines without ``event_list`` have none.
    3. DuEE-fin: the same without places, of which each is searched as in DuIE: the first occurrence, rather not inside
       a word or number. Arguments and triggers that do not occur, as those that only classify an event, are left out
       and counted in a warning. ``trigger`` may be missing or empty.
    4. doccano, label-studio and brat, see :mod:`hf_ext.data.formats`.

    Files are UTF-8; keys other than these are ignored.

    Args:
        path: the file.
        labels: labels ``"type|role"`` that may occur, see `event_labels`; None allows all.

    Returns:
        Dicts ``{"text", "events"}`` of events ``{"type", "arguments"}`` whose arguments have ``role``, ``start``,
        ``end`` (exclusive, code points) and ``text``; ``{"text"}`` alone where no line of a file has events, as in
        DuEE's test file.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a value has the wrong type, a label is not
            among ``labels``, or a span is empty, outside its text or not where its string stands.
    """
    source = Source(path)
    shared = read_as("events", source)
    read = list(_own(source) if shared is None else shared)
    labelled = any("events" in record for _, record in read)
    examples, lost, total = [], 0, 0
    for where, record in read:
        text = record["text"]
        example = {"text": text}
        if labelled:
            listed = record.get("events", [])
            parts = [part for one in listed for part in _parts(one)]
            lost += sum(part is _LOST for part in parts)
            total += len(parts)
            checked = [_checked_event(text, one, where) for one in listed]
            # An event all of whose strings are lost is lost.
            example["events"] = [new for new, old in zip(checked, listed) if new["arguments"] or not _parts(old)]
        for label in _labels(example.get("events", ())):
            if labels is not None and label not in labels:
                fail(where, f"type and role must be one of {sorted(labels)}", label)
        examples.append(example)
    if lost:
        message = "%s: %d of %d triggers and arguments are strings that are not in their text; left out"
        logger.warning(message, path, lost, total)
    return examples


def read_event_schema(path: str | os.PathLike[str]) -> list[str]:
    """Labels ``"type|role"``, triggers included, from DuEE's schema: ``{"event_type", "role_list": [{"role"}]}``.

    The file has JSON lines or a JSON array.

    Raises:
        ValueError: naming the file and the line, if it is not such a schema, or has no type.
    """
    labels: dict[str, None] = {}
    for where, record in json_objects(read_lines(path)):
        roles = record.get("role_list")
        if not isinstance(roles, list) or not all(isinstance(one, dict) for one in roles):
            fail(where, "a schema's line must be an object with 'event_type' and a list 'role_list'", record)
        event_type = _name(record.get("event_type"), "event_type", where)
        names = [TRIGGER, *(_name(one.get("role"), "role", where) for one in roles)]
        labels |= dict.fromkeys(event_label(event_type, role) for role in names)
    if not labels:
        raise ValueError(f"{os.fspath(path)}: a schema must have at least one type of events, got none")
    return list(labels)


def event_labels(examples: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sorted labels ``"type|role"`` in examples: what a model has to tell apart."""
    return sorted({label for example in examples for label in _labels(example.get("events", ()))})


def _labels(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for event in events:
        for argument in event["arguments"]:
            yield event_label(event["type"], argument["role"])


def _own(source: Source) -> Iterator[Example]:
    """The examples of our own lines, and of DuEE's."""
    for where, record in json_objects(source.filled):
        text = record.get("text")
        if not isinstance(text, str):
            fail(where, "the line must be an object with a string 'text'", record)
        kind = next((key for key in ("events", "event_list") if key in record), None)
        if kind is None:
            yield where, {"text": text}
            continue
        if not isinstance(record[kind], list):
            fail(where, f"{kind} must be a list", record[kind])
        read = _own_event if kind == "events" else _duee_event
        yield where, {"text": text, "events": [read(text, one, where) for one in record[kind]]}


def _own_event(text: str, record: Any, where: FileLine) -> dict[str, Any]:
    arguments = record.get("arguments") if isinstance(record, dict) else None
    if not isinstance(arguments, list) or not all(isinstance(one, dict) for one in arguments):
        fail(where, "an event must be an object with 'type' and a list of objects 'arguments'", record)
    return {"type": record.get("type"), "trigger": None, "arguments": arguments}


def _duee_event(text: str, record: Any, where: FileLine) -> dict[str, Any]:
    arguments = record.get("arguments") if isinstance(record, dict) else None
    if not isinstance(arguments, list) or not all(isinstance(one, dict) for one in arguments):
        fail(where, "an event must be an object with 'event_type' and a list of objects 'arguments'", record)
    trigger = None
    if record.get("trigger", "") != "":
        trigger = _duee_span(text, record["trigger"], record.get("trigger_start_index", _NO_PLACE), TRIGGER, where)
    spans = []
    for one in arguments:
        span = _duee_span(text, one.get("argument"), one.get("argument_start_index", _NO_PLACE), one.get("role"), where)
        spans.append(span if span is _LOST else {"role": one.get("role"), **span})
    return {"type": record.get("event_type"), "trigger": trigger, "arguments": spans}


def _duee_span(text: str, surface: Any, start: Any, role: Any, where: FileLine) -> dict[str, Any]:
    """Where a string stands, or is found if no place is given; `_LOST` if nowhere."""
    if not isinstance(surface, str) or not (start is _NO_PLACE or type(start) is int):
        fail(where, f"{role} must have a string and the index where it starts", (surface, start))
    if start is _NO_PLACE:
        return locate(text, surface.strip()) or _LOST
    span = {"start": start, "end": start + len(surface)}
    # What lies outside the text is left to the check that all formats share.
    if 0 <= start < span["end"] <= len(text) and not text.startswith(surface, start):
        fail(where, f"the text of {role} at {start} must be {surface!r}", text[start : span["end"]])
    return span


def _parts(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The trigger, if there is one, and the arguments."""
    return [one for one in (event["trigger"], *event["arguments"]) if one is not None]


def _checked_event(text: str, event: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    own = event.get("where")
    # JSON has no such value.
    where = own if isinstance(own, FileLine) else where
    parts = [{"role": TRIGGER, **event["trigger"]}] if event["trigger"] else []
    parts += [one for one in event["arguments"] if one is not _LOST]
    return {
        "type": _name(event["type"], "event_type", where),
        "arguments": [
            {"role": _name(one.get("role"), "role", where), **checked_span(text, one, str(one["role"]), where)}
            for one in parts
        ],
    }


def _name(value: Any, name: str, where: FileLine) -> str:
    if not isinstance(value, str) or not value.strip() or ROLE_MARK in value:
        fail(where, f"{name} must be a string that is not blank, without {ROLE_MARK!r}", value)
    return value


def _shared(example: Mapping[str, Any]) -> dict[str, Any]:
    """An example with the triggers beside the arguments."""
    events = []
    for event in example["events"]:
        triggers = [one for one in event["arguments"] if one["role"] == TRIGGER]
        others = [one for one in event["arguments"] if one["role"] != TRIGGER]
        if len(triggers) > 1:
            raise ValueError(f"an event must have one trigger, got {len(triggers)} in one of type {event['type']!r}")
        events.append({"type": event["type"], "trigger": next(iter(triggers), None), "arguments": others})
    return {"text": example["text"], "events": events}


FILES = TaskFiles("events", read_events, "events", _shared)
