"""From what is found of DuIE's relations, slot by slot, to the entries of ``spo_list`` with their types."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hf_ext.data.text_lines import fail, json_objects, read_lines

VALUE = "@value"
"""The slot that every object has."""


class SlotLink(NamedTuple):
    """A slot of an object, as a model finds it.

    Attributes:
        subject: the string of the subject.
        predicate: of the relation.
        slot: its name, ``"@value"`` for the object itself.
        text: the string that fills it.
        value: of another slot, the string of the ``@value`` that it was linked with, if the model says that.
    """

    subject: str
    predicate: str
    slot: str
    text: str
    value: str | None = None


def join_slots(links: Iterable[SlotLink]) -> list[dict[str, Any]]:
    """Entries of ``spo_list``, one for each subject, predicate and ``@value``, with the slots that belong to it.

    Another slot joins the ``@value`` that it was linked with, or if that is not said or not there the first one of its
    subject and predicate; of two strings for a slot the first stays. Slots without any ``@value`` are left out, as no
    true triple is without. The original of article 7321 has one entry for a subject and predicate, in which a second
    ``@value`` replaces the first, in the true triples too: it loses all but one of a film's actors, and its own score
    does not tell.

    Returns:
        Dicts ``{"subject", "predicate", "object": {slot: str}}``, in the order in which their ``@value`` comes.
    """
    everything = list(links)
    objects: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for link in everything:
        if link.slot == VALUE:
            objects.setdefault((link.subject, link.predicate), {}).setdefault(link.text, {VALUE: link.text})
    for link in everything:
        own = objects.get((link.subject, link.predicate))
        if link.slot != VALUE and own:
            first = next(iter(own))
            own[link.value if link.value in own else first].setdefault(link.slot, link.text)
    return [
        {"subject": subject, "predicate": predicate, "object": slots}
        for (subject, predicate), own in objects.items()
        for slots in own.values()
    ]


def spo_of_relation(relation: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of ``spo_list`` of a relation as `hf_ext.tasks.relations` reads and predicts it.

    Args:
        relation: ``{"predicate", "subject": {"text"}, "object": {"text"}, "slots": [{"name", "text"}]}``; of two
            strings for a slot the first stays.
    """
    slots = {VALUE: relation["object"]["text"]}
    for slot in relation.get("slots") or ():
        slots.setdefault(slot["name"], slot["text"])
    return {"subject": relation["subject"]["text"], "predicate": relation["predicate"], "object": slots}


def read_duie_schema(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """The ``subject_type`` and ``object_type`` of each predicate, from DuIE's schema: JSON lines, or a JSON list.

    Raises:
        TextFileError: naming the file and the line, if it is not JSON, or lacks a key.
    """
    schema = {}
    for where, record in json_objects(read_lines(path)):
        predicate, types = record.get("predicate"), record.get("object_type")
        if not isinstance(predicate, str) or not isinstance(types, dict) or "subject_type" not in record:
            fail(where, "an entry must have predicate, subject_type and an object 'object_type'", record)
        schema[predicate] = {"subject_type": record["subject_type"], "object_type": types}
    return schema


def with_types(spo: Mapping[str, Any], schema: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An entry of ``spo_list`` with the types that the schema gives it; the scorer does not look at them.

    Raises:
        ValueError: if the schema does not have its predicate, or one of its slots.
    """
    types = schema.get(spo["predicate"])
    if types is None:
        raise ValueError(f"predicate must be one of the schema, got {spo['predicate']!r}")
    unknown = [slot for slot in spo["object"] if slot not in types["object_type"]]
    if unknown:
        known = ", ".join(types["object_type"])
        raise ValueError(f"slots of {spo['predicate']} must be among {known}, got {', '.join(unknown)}")
    return {
        **spo,
        "subject_type": types["subject_type"],
        "object_type": {slot: types["object_type"][slot] for slot in spo["object"]},
    }
