"""Reads files of texts with events; the format is detected from the content."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from hf_ext.data.places import checked_span
from hf_ext.data.text_lines import FileLine, fail, json_objects, read_lines
from hf_ext.tasks.events.labels import ROLE_MARK, TRIGGER, event_label


def read_events(path: str | os.PathLike[str], labels: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Read texts with events from JSON lines, or a JSON array, of our own or of DuEE 1.0.

    1. ``{"text", "events": [{"type", "arguments": [{"role", "start", "end"}]}]}``, ``end`` exclusive; a trigger is an
       argument of the role `TRIGGER`.
    2. DuEE 1.0: ``{"text", "event_list": [{"event_type", "trigger", "trigger_start_index", "arguments": [{"role",
       "argument", "argument_start_index"}]}]}``; lines without ``event_list``, as in its test file, have no events.

    Files are UTF-8; keys other than these are ignored.

    Args:
        path: the file.
        labels: labels ``"type|role"`` that may occur, see `event_labels`; None allows all.

    Returns:
        Dicts ``{"text", "events"}`` of events ``{"type", "arguments"}`` whose arguments have ``role``, ``start``,
        ``end`` (exclusive, code points) and ``text``.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a value has the wrong type, a label is not
            among ``labels``, or a span is empty, outside its text or not where its string stands.
    """
    examples = []
    for where, record in json_objects(read_lines(path)):
        if not isinstance(record.get("text"), str):
            fail(where, "the line must be an object with a string 'text'", record)
        kind = "events" if "events" in record else "event_list"
        listed = record.get(kind, [])
        if not isinstance(listed, list):
            fail(where, f"{kind} must be a list", listed)
        read = _own_event if kind == "events" else _duee_event
        events = [read(record["text"], one, where) for one in listed]
        for label in _labels(events):
            if labels is not None and label not in labels:
                fail(where, f"type and role must be one of {sorted(labels)}", label)
        examples.append({"text": record["text"], "events": events})
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
    return sorted({label for example in examples for label in _labels(example["events"])})


def _labels(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for event in events:
        for argument in event["arguments"]:
            yield event_label(event["type"], argument["role"])


def _own_event(text: str, record: Any, where: FileLine) -> dict[str, Any]:
    arguments = record.get("arguments") if isinstance(record, dict) else None
    if not isinstance(arguments, list) or not all(isinstance(one, dict) for one in arguments):
        fail(where, "an event must be an object with 'type' and a list of objects 'arguments'", record)
    return {
        "type": _name(record.get("type"), "type", where),
        "arguments": [
            {"role": _name(one.get("role"), "role", where), **checked_span(text, one, "an argument", where)}
            for one in arguments
        ],
    }


def _duee_event(text: str, record: Any, where: FileLine) -> dict[str, Any]:
    arguments = record.get("arguments") if isinstance(record, dict) else None
    if not isinstance(arguments, list) or not all(isinstance(one, dict) for one in arguments):
        fail(where, "an event must be an object with 'event_type' and a list of objects 'arguments'", record)
    named = [(TRIGGER, record.get("trigger"), record.get("trigger_start_index"))]
    named += [(one.get("role"), one.get("argument"), one.get("argument_start_index")) for one in arguments]
    spans = []
    for role, surface, start in named:
        if not isinstance(surface, str) or type(start) is not int:
            fail(where, f"{role} must have a string and the index where it starts", (surface, start))
        span = checked_span(text, {"start": start, "end": start + len(surface)}, str(role), where)
        if not text.startswith(surface, start):
            fail(where, f"the text of {role} at {start} must be {surface!r}", text[start : start + len(surface)])
        spans.append({"role": _name(role, "role", where), **span})
    return {"type": _name(record.get("event_type"), "event_type", where), "arguments": spans}


def _name(value: Any, name: str, where: FileLine) -> str:
    if not isinstance(value, str) or not value.strip() or ROLE_MARK in value:
        fail(where, f"{name} must be a string that is not blank, without {ROLE_MARK!r}", value)
    return value
