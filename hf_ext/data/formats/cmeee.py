"""CMeEE, of CBLUE: ``{"text", "entities": [{"start_idx", "end_idx", "type", "entity"}]}``, a JSON array or lines.

``end_idx`` is the last character as published, but some copies have the one behind it. The entity's own string says
which, so it must be there.
"""

from collections.abc import Iterator
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, fail


def _found(source: Source) -> bool:
    entities = (entity for _, value in source.values for entity in _entities(value))
    return "start_idx" in next(entities, ())


def _entities(value: Any) -> list[dict[str, Any]]:
    listed = value.get("entities") if isinstance(value, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _read(source: Source) -> Iterator[Example]:
    for where, record in source.objects:
        text = record.get("text")
        if not isinstance(text, str):
            fail(where, "text must be a string", text)
        if "entities" not in record:
            yield where, {"text": text}
            continue
        if not isinstance(record["entities"], list):
            fail(where, "entities must be a list", record["entities"])
        yield where, {"text": text, "entities": [_entity(text, one, where) for one in record["entities"]]}


def _entity(text: str, entity: Any, where: FileLine) -> dict[str, Any]:
    if not isinstance(entity, dict):
        fail(where, "an entity must be an object with start_idx, end_idx, type and entity", entity)
    start, end, surface = entity.get("start_idx"), entity.get("end_idx"), entity.get("entity")
    if type(start) is not int or type(end) is not int or start < 0 or not isinstance(surface, str) or not surface:
        fail(where, "an entity must have integers start_idx and end_idx, and its string entity", entity)
    for behind in (end + 1, end):
        if text[start:behind] == surface:
            return {"start": start, "end": behind, "label": entity.get("type")}
    fail(where, f"the text at [{start}, {end}] must be {surface!r}", text[start : end + 1])


FORMAT = Format("cmeee", _found, {"entities": _read})
