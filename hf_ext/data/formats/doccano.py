"""doccano's JSON lines, of every kind of its projects, and of versions old and new.

- sequence labelling: ``{"text", "label": [[start, end, label]]}``
- the same with relations: ``{"text", "entities": [{"id", "label", "start_offset", "end_offset"}], "relations":
  [{"from_id", "to_id", "type"}]}``
- text classification and sequence to sequence: ``{"text", "label": [str]}``
- intents and slots: ``{"text", "entities": [[start, end, label]], "cats": [str]}``
- old: ``labels`` for ``label``, and before version 1 ``{"text", "annotations": [{"label", "start_offset",
  "end_offset"}]}``, with ``[{"label"}]`` for classes and ``[{"text"}]`` for texts

The text may be called ``data``. Places are counted in code points, ``end`` exclusive.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.linked_spans import Link, events_of, named_spans, relations_of, spans_of_events, spans_of_relations
from hf_ext.data.text_lines import FileLine, fail


def _found(source: Source) -> bool:
    verdicts = (_tells(value) for _, value in source.values)
    return next((verdict for verdict in verdicts if verdict is not None), False)


def _tells(value: Any) -> bool | None:
    """Whether a record has what only doccano writes; None if it has no labels to tell by."""
    if not isinstance(value, dict) or not isinstance(value.get("text", value.get("data")), str):
        return None
    # Lists of strings under "labels" are ours, and lists of objects under "label" label-studio's.
    if isinstance(value.get("label"), list) and not any(isinstance(one, dict) for one in value["label"]):
        return True
    if _list(value.get("annotations")):
        return True
    for one in (*_list(value.get("labels")), *_list(value.get("entities"))):
        return _is_triple(one) or (isinstance(one, dict) and "start_offset" in one)
    return False if value.get("label") else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_triple(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and type(value[0]) is type(value[1]) is int


def _text(record: Mapping[str, Any], where: FileLine) -> str:
    text = record.get("text", record.get("data"))
    if not isinstance(text, str):
        fail(where, "the line must be an object with a string 'text' or 'data'", sorted(record))
    return text


def _labels(record: Mapping[str, Any], where: FileLine, *names: str) -> list[Any] | None:
    """The list under the first of the names that is there."""
    for name in names:
        if name in record:
            if not isinstance(record[name], list):
                fail(where, f"{name} must be a list", record[name])
            return record[name]
    return None


def _span(value: Any, where: FileLine) -> dict[str, Any]:
    if _is_triple(value):
        start, end, label = value
    elif isinstance(value, dict) and "start_offset" in value:
        start, end, label = (value.get(name) for name in ("start_offset", "end_offset", "label"))
    else:
        fail(where, "a span must be [start, end, label], or an object with start_offset, end_offset and label", value)
    # The number of a label in old exports.
    label = str(label) if type(label) is int else label
    return {"start": start, "end": end, "label": label, "where": where}


def _entities(source: Source) -> Iterator[Example]:
    for where, record in source.objects:
        listed = _labels(record, where, "entities", "label", "labels", "annotations")
        example = {"text": _text(record, where)}
        yield where, example if listed is None else {**example, "entities": [_span(one, where) for one in listed]}


def _linked(source: Source) -> Iterator[tuple[FileLine, str, Mapping[Any, Mapping[str, Any]], list[Link]]]:
    for where, record in source.objects:
        spans, links = (_labels(record, where, name) for name in ("entities", "relations"))
        if spans is None or links is None:
            fail(where, "the line must have lists 'entities' and 'relations'", sorted(record))
        if not all(isinstance(one, dict) and type(one.get("id")) in (int, str) for one in spans):
            fail(where, "entities must be objects with an 'id'", spans)
        if not all(isinstance(one, dict) for one in links):
            fail(where, "relations must be objects with from_id, to_id and type", links)
        ends = [Link(one.get("type"), one.get("from_id"), one.get("to_id"), where) for one in links]
        yield where, _text(record, where), named_spans(((one["id"], _span(one, where)) for one in spans), where), ends


def _relations(source: Source) -> Iterator[Example]:
    for where, text, spans, links in _linked(source):
        yield where, {"text": text, "relations": relations_of(spans, links)}


def _events(source: Source) -> Iterator[Example]:
    for where, text, spans, links in _linked(source):
        yield where, {"text": text, "events": events_of(spans, links)}


def _classes(source: Source) -> Iterator[Example]:
    for where, record in source.objects:
        listed = _labels(record, where, "cats", "label", "labels", "annotations")
        example = {"text": _text(record, where)}
        yield where, example if listed is None else {**example, "labels": [_name(one, "label") for one in listed]}


def _targets(source: Source) -> Iterator[Example]:
    for where, record in source.objects:
        listed = _labels(record, where, "label", "labels", "annotations")
        example = {"text": _text(record, where)}
        yield where, example if listed is None else {**example, "targets": [_name(one, "text") for one in listed]}


def _name(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else value


def _write_entities(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    label = [[one["start"], one["end"], one["label"]] for one in example["entities"]]
    return {"id": number, "text": example["text"], "label": label}


def _write_relations(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    return _write_linked(example["text"], number, *spans_of_relations(example["relations"]))


def _write_events(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    return _write_linked(example["text"], number, *spans_of_events(example["events"]))


def _write_linked(text: str, number: int, spans: list[Any], links: list[Any]) -> dict[str, Any]:
    entities = [
        {"id": at, "label": one["label"], "start_offset": one["start"], "end_offset": one["end"]}
        for at, one in enumerate(spans)
    ]
    relations = [
        {"id": at, "from_id": source, "to_id": target, "type": label}
        for at, (label, source, target) in enumerate(links)
    ]
    return {"id": number, "text": text, "entities": entities, "relations": relations}


def _write_strings(key: str) -> Any:
    def write(example: Mapping[str, Any], number: int) -> dict[str, Any]:
        if example.keys() != {"text", key}:
            raise ValueError(f"doccano has a text of its own for each example, got {', '.join(example)}")
        return {"id": number, "text": example["text"], "label": list(example[key])}

    return write


FORMAT = Format(
    "doccano",
    _found,
    {"entities": _entities, "relations": _relations, "events": _events, "classes": _classes, "targets": _targets},
    {
        "entities": _write_entities,
        "relations": _write_relations,
        "events": _write_events,
        "classes": _write_strings("labels"),
        "targets": _write_strings("targets"),
    },
)
