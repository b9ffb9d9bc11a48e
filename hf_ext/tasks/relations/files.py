"""Reads files of texts with relations; the format is detected from the content."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from hf_ext.data.formats.registry import Example, all_or_none, read_as
from hf_ext.data.formats.source import Source
from hf_ext.data.linked_spans import SLOT_MARK
from hf_ext.data.places import checked_span, locate
from hf_ext.data.text_lines import FileLine, fail, json_objects, read_lines
from hf_ext.tasks.base.task_files import TaskFiles

logger = logging.getLogger(__name__)

_WANTED = "the object must have a list 'relations' or 'spo_list'"
_VALUE = "@value"


def read_relations(path: str | os.PathLike[str], predicates: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Read texts with relations from JSON lines, or an array, of our own, of DuIE 1.0 or 2.0, or of a shared format.

    1. ``{"text", "relations": [{"predicate", "subject": {"start", "end"}, "object": {"start", "end"}, "slots":
       [{"name", "start", "end"}]}]}``, ``end`` exclusive; ``slots`` may be left out.
    2. DuIE 1.0: ``{"text", "spo_list": [{"subject", "predicate", "object"}]}``.
    3. DuIE 2.0: the same with ``"object": {"@value": str, slot: str}``; the entries beside ``@value`` become slots.
       CMeIE has this form too.
    4. doccano, label-studio and brat, see :mod:`hf_ext.data.formats`.

    DuIE names strings without their places: each is taken where it first occurs, rather not inside a word or number,
    in any case of letters. Relations whose strings do not occur are left out, as by the originals, and counted in a
    warning. Files are UTF-8; keys other than these are ignored.

    Args:
        path: the file.
        predicates: names of links that may occur, see `relation_labels`; None allows all.

    Returns:
        Dicts ``{"text", "relations"}`` of relations ``{"predicate", "subject", "object", "slots"}``, the last three
        with ``start``, ``end`` (exclusive, code points) and ``text``, slots also with ``name``; ``{"text"}`` alone
        where no line of a file has relations, as in DuIE's test file.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a value has the wrong type, a predicate is
            not among ``predicates``, a span is empty or outside its text, or some lines have relations (an empty list
            will do) and others do not.
    """
    examples, lost, total = [], 0, 0
    source = Source(path)
    shared = read_as("relations", source)
    for where, record in all_or_none(_own(source) if shared is None else shared, "relations", _WANTED):
        if "relations" not in record:
            examples.append(record)
            continue
        read = [_checked_relation(record["text"], one, where) for one in record["relations"]]
        known = [one for one in read if one is not None]
        for name in relation_names(known):
            if predicates is not None and name not in predicates:
                fail(where, f"the predicate must be one of {sorted(predicates)}", name)
        lost += len(read) - len(known)
        total += len(read)
        examples.append({"text": record["text"], "relations": known})
    if lost:
        logger.warning("%s: %d of %d relations name a string that is not in their text; left out", path, lost, total)
    return examples


def read_relation_schema(path: str | os.PathLike[str]) -> list[str]:
    """Names of links from a schema of DuIE 1.0 or 2.0: JSON lines or an array of ``{"predicate", "object_type"}``.

    A complex object's ``object_type`` is an object; each of its slots gives a name of its own.

    Raises:
        ValueError: naming the file and the line, if it is not such a schema, or has no predicate.
    """
    names: dict[str, None] = {}
    for where, record in json_objects(read_lines(path)):
        predicate = _predicate(record, where)
        kinds = record.get("object_type")
        slots = [slot for slot in kinds if slot != _VALUE] if isinstance(kinds, dict) else []
        names |= dict.fromkeys([predicate, *(link_name(predicate, slot) for slot in slots)])
    if not names:
        raise ValueError(f"{os.fspath(path)}: a schema must have at least one predicate, got none")
    return list(names)


def link_name(predicate: str, slot: str | None = None) -> str:
    """The name of the link from subject to object, or from object to the slot that completes it."""
    return predicate if slot is None else f"{predicate}{SLOT_MARK}{slot}"


def relation_names(relations: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Names of the links that relations are made of."""
    for relation in relations:
        yield link_name(relation["predicate"])
        for slot in relation.get("slots") or ():
            yield link_name(relation["predicate"], slot["name"])


def relation_labels(examples: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sorted names of the links in examples: what a model has to tell apart."""
    return sorted({name for example in examples for name in relation_names(example.get("relations", ()))})


def _own(source: Source) -> Iterator[Example]:
    """The examples of our own lines, and of DuIE's, whose relations are None where a string is not in the text."""
    for where, record in json_objects(source.filled):
        text = record.get("text")
        if not isinstance(text, str):
            fail(where, "the line must be an object with a string 'text'", record)
        kind = next((key for key in ("relations", "spo_list") if key in record), None)
        if kind is None:
            yield where, {"text": text}
            continue
        listed = record[kind]
        if not isinstance(listed, list) or None in listed:
            fail(where, f"{_WANTED} of objects", listed)
        read = _duie_relation if kind == "spo_list" else _as_it_is
        yield where, {"text": text, "relations": [read(text, one, where) for one in listed]}


def _as_it_is(text: str, record: Any, where: FileLine) -> Any:
    return record


def _predicate(record: Mapping[str, Any], where: FileLine) -> str:
    predicate = record.get("predicate")
    if not isinstance(predicate, str) or not predicate.strip() or SLOT_MARK in predicate:
        fail(where, f"predicate must be a string that is not blank, without {SLOT_MARK!r}", predicate)
    return predicate


def _checked_relation(text: str, record: Any, where: FileLine) -> dict[str, Any] | None:
    if record is None:
        return None
    if not isinstance(record, dict):
        fail(where, "a relation must be an object with predicate, subject and object", record)
    own = record.get("where")
    # JSON has no such value.
    where = own if isinstance(own, FileLine) else where
    slots = record.get("slots") or []
    if not isinstance(slots, list) or not all(map(_is_named, slots)):
        fail(where, "slots must be a list of objects with a string name, start and end", slots)
    return {
        "predicate": _predicate(record, where),
        "subject": checked_span(text, record.get("subject"), "subject", where),
        "object": checked_span(text, record.get("object"), "object", where),
        "slots": [{"name": slot["name"], **checked_span(text, slot, "a slot", where)} for slot in slots],
    }


def _is_named(slot: Any) -> bool:
    return isinstance(slot, dict) and isinstance(slot.get("name"), str) and bool(slot["name"].strip())


def _duie_relation(text: str, record: Any, where: FileLine) -> dict[str, Any] | None:
    if not isinstance(record, dict):
        fail(where, "an entry of spo_list must be an object with subject, predicate and object", record)
    predicate, subject, object_ = _predicate(record, where), record.get("subject"), record.get("object")
    values = object_ if isinstance(object_, dict) else {_VALUE: object_}
    if _VALUE not in values or not all(isinstance(one, str) and one.strip() for one in (subject, *values.values())):
        fail(where, "subject and object must be strings, or object an object with '@value'", record)
    if not all(name.strip() for name in values):
        fail(where, "a slot of an object must have a name that is not blank", object_)
    places = {name: locate(text, surface.strip()) for name, surface in {"": subject, **values}.items()}
    if None in places.values():
        return None
    slots = [{"name": name, **(places[name] or {})} for name in values if name != _VALUE]
    return {"predicate": predicate, "subject": places[""], "object": places[_VALUE], "slots": slots}


FILES = TaskFiles("relations", read_relations, "relations")
