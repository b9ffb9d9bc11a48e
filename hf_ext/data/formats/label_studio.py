"""label-studio's JSON: the full export, and the small one (JSON-MIN).

- full: ``[{"data": {"text"}, "annotations": [{"result": [{"id", "type": "labels", "value": {"start", "end", "text",
  "labels"}}, {"type": "relation", "from_id", "to_id", "labels"}, {"type": "choices", "value": {"choices"}}, {"type":
  "textarea", "value": {"text"}}]}]}]``; ``completions`` before version 1
- small: ``[{"text", "label": [{"start", "end", "text", "labels"}], "sentiment": "good"}]``, without relations

Places are counted in UTF-16, as JavaScript does: a character beyond 16 bits, as many emoji, counts two. They are read
so where the span's own string stands there, else in code points, ``end`` exclusive. Tasks that nobody has annotated are
left out, and so are annotations that were cancelled; a task with several annotations is refused, unless one is the
ground truth. Results of other types are left alone; those that are not on text are refused.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.linked_spans import Link, events_of, named_spans, relations_of, spans_of_events, spans_of_relations
from hf_ext.data.text_keys import text_keys_of
from hf_ext.data.text_lines import FileLine, fail

logger = logging.getLogger(__name__)

_LISTS = ("annotations", "completions")
# Of results on a text, each of which a task may read while it leaves the others alone.
_KINDS = {"labels", "relation", "choices", "textarea", "string", "taxonomy", "rating", "number", "datetime"}
# Of the small export, beside the data and the labels.
_OTHER = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}
_Results = tuple[FileLine, Mapping[str, Any], list[Mapping[str, Any]]]


def _found(source: Source) -> bool:
    return any(_is_full(value) or _is_small(value) for _, value in source.values)


def _is_full(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
        return False
    return any(isinstance(value.get(name), list) for name in _LISTS)


def _is_small(value: Any) -> bool:
    return isinstance(value, dict) and ("annotation_id" in value or any(_is_spans(one) for one in value.values()))


def _is_spans(value: Any) -> bool:
    """Whether it is what the small export has of spans."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, dict) and {"start", "end", "labels"} <= one.keys() for one in value)


def _results(source: Source, kind: str) -> Iterator[_Results]:
    """The data of each task that is annotated, and the results of a kind; there must be some, if there are any."""
    other: tuple[FileLine, Any] | None = None
    found = False
    for where, data, results in _annotations(source):
        for one in results:
            if not isinstance(one.get("type"), str) or one["type"] not in _KINDS:
                fail(where, f"results must be of the type {kind}, or others on text", one.get("type"))
            other = other or (where, one["type"])
        # A string of the small export is what was chosen, or what was written.
        own = [one for one in results if one["type"] in (kind, "string" if kind != "labels" else kind)]
        if not all(isinstance(one.get("value"), dict) for one in own):
            fail(where, "a result must have an object 'value'", own)
        found = found or bool(own)
        yield where, data, own if kind != "labels" else [*own, *(one for one in results if one["type"] == "relation")]
    if other and not found:
        fail(other[0], f"there must be results of the type {kind}", other[1])


def _annotations(source: Source) -> Iterator[_Results]:
    """The data of each task that is annotated, and the results of its annotation."""
    left_out = 0
    for where, record in source.objects:
        if not _is_full(record):
            yield where, record, _small_results(record)
            continue
        listed = next(record[name] for name in _LISTS if isinstance(record.get(name), list))
        if not all(isinstance(one, dict) and isinstance(one.get("result"), list) for one in listed):
            fail(where, "annotations must be objects with a list 'result'", listed)
        made = [one for one in listed if not one.get("was_cancelled")]
        made = [one for one in made if one.get("ground_truth")] or made
        if not made:
            left_out += 1
            continue
        if len(made) > 1:
            fail(where, "a task must have one annotation, or one that is the ground truth", f"{len(made)} annotations")
        if not all(isinstance(one, dict) for one in made[0]["result"]):
            fail(where, "a result must be a list of objects", made[0]["result"])
        yield where, record["data"], made[0]["result"]
    if left_out:
        logger.warning("%s: %d tasks without an annotation are left out", source.path, left_out)


def _small_results(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the full export would have of a record of the small one, where a single choice or text is a string."""
    results: list[Mapping[str, Any]] = []
    for name, value in record.items():
        if _is_spans(value):
            results += ({"type": "labels", "value": span} for span in value)
        elif isinstance(value, dict) and isinstance(value.get("choices"), list):
            results.append({"type": "choices", "from_name": name, "value": value})
        elif isinstance(value, str) and name not in _OTHER and name not in _texts(record):
            results.append({"type": "string", "from_name": name, "value": {"choices": [value], "text": [value]}})
    return results


def _texts(data: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a task by their names: of those that files have, or of the only string."""
    strings = {name: value for name, value in data.items() if isinstance(value, str) and name not in _OTHER}
    known = text_keys_of(strings)
    if known is None:
        return strings if len(strings) == 1 else {}
    return {name: strings[name] for name in known}


def _text(data: Mapping[str, Any], where: FileLine) -> str:
    texts = _texts(data)
    if len(texts) != 1:
        fail(where, "a task must have a string 'text', or one string", sorted(data))
    return next(iter(texts.values()))


def _spans(text: str, results: Sequence[Mapping[str, Any]], where: FileLine) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Name and span of each label of each result."""
    for one in results:
        if one["type"] == "relation":
            continue
        value = one["value"]
        labels = value.get("labels")
        if not isinstance(labels, list) or not labels:
            fail(where, "a span must have a list of labels", labels)
        place = _place(text, value, where)
        for label in labels:
            yield one.get("id"), {**place, "label": label, "where": where}


def _place(text: str, value: Mapping[str, Any], where: FileLine) -> dict[str, int]:
    start, end = value.get("start"), value.get("end")
    if type(start) is not int or type(end) is not int:
        fail(where, "a span must have integers start and end", value)
    surface = value.get("text")
    encoded = text.encode("utf-16-le")
    points = [len(encoded[: 2 * at].decode("utf-16-le", "ignore")) for at in (start, end)] if 0 <= start <= end else []
    if not points or 2 * end > len(encoded):
        fail(where, f"a span must lie within the text of {len(encoded) // 2} characters of UTF-16", (start, end))
    # A line break is shown as \\n in the span's string.
    wanted = surface.replace("\\n", "\n") if isinstance(surface, str) else None
    for first, last in (points, (start, end)):
        if wanted is None or text[first:last] in (surface, wanted):
            return {"start": first, "end": last}
    fail(where, f"the text at {start} to {end} must be {surface!r}", text[points[0] : points[1]])


def _entities(source: Source) -> Iterator[Example]:
    for where, data, results in _results(source, "labels"):
        text = _text(data, where)
        yield where, {"text": text, "entities": [span for _, span in _spans(text, results, where)]}


def _linked(source: Source) -> Iterator[tuple[FileLine, str, Mapping[Any, Mapping[str, Any]], list[Link]]]:
    for where, data, results in _results(source, "labels"):
        text = _text(data, where)
        read = list(_spans(text, results, where))
        if any(not isinstance(name, str) for name, _ in read):
            fail(where, "relations are in the full export (JSON), whose spans have a string 'id'", "the small one")
        spans = named_spans(read, where)
        links = []
        for one in results:
            if one["type"] == "relation":
                ends = (one.get("from_id"), one.get("to_id"))
                labels = one.get("labels")
                if not isinstance(labels, list) or len(labels) != 1:
                    fail(where, "a relation must have one label", labels)
                if one.get("direction", "right") not in ("left", "right"):
                    fail(where, "the direction of a relation must be 'left' or 'right'", one["direction"])
                links.append(Link(labels[0], *(ends if one.get("direction") != "left" else ends[::-1]), where))
        yield where, text, spans, links


def _relations(source: Source) -> Iterator[Example]:
    for where, text, spans, links in _linked(source):
        yield where, {"text": text, "relations": relations_of(spans, links)}


def _events(source: Source) -> Iterator[Example]:
    for where, text, spans, links in _linked(source):
        yield where, {"text": text, "events": events_of(spans, links)}


def _classes(source: Source) -> Iterator[Example]:
    question: str | None = None
    for where, data, results in _results(source, "choices"):
        texts = _texts(data)
        if not texts:
            fail(where, "a task must have texts called 'text', or 'text1' and 'text2', or one string", sorted(data))
        for one in results:
            question = question or one.get("from_name")
            if one.get("from_name") != question:
                seen = f"{question} and {one.get('from_name')}"
                fail(where, "the choices of a file must be those of one question", seen)
        listed = [one["value"].get("choices") for one in results]
        if not all(isinstance(one, list) for one in listed):
            fail(where, "choices must be lists", listed)
        named = {"text": next(iter(texts.values()))} if len(texts) == 1 else texts
        yield where, {**named, "labels": [choice for one in listed for choice in one]}


def _targets(source: Source) -> Iterator[Example]:
    for where, data, results in _results(source, "textarea"):
        listed = [one["value"].get("text") for one in results]
        targets = [one for each in listed for one in (each if isinstance(each, list) else [each])]
        yield where, {"text": _text(data, where), "targets": targets}


def _task(number: int, data: Mapping[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": number, "data": dict(data), "annotations": [{"result": results}]}


def _result(kind: str, name: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**more, "from_name": name, "to_name": "text", "type": kind, "value": value}


def _span_results(text: str, spans: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    results = []
    for number, span in enumerate(spans):
        start, end = (len(text[: span[name]].encode("utf-16-le")) // 2 for name in ("start", "end"))
        surface = text[span["start"] : span["end"]]
        value = {"start": start, "end": end, "text": surface, "labels": [span["label"]]}
        results.append(_result("labels", "label", value, id=str(number)))
    return results


def _write_entities(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    text = example["text"]
    return _task(number, {"text": text}, _span_results(text, example["entities"]))


def _write_relations(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    return _write_linked(example["text"], number, *spans_of_relations(example["relations"]))


def _write_events(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    return _write_linked(example["text"], number, *spans_of_events(example["events"]))


def _write_linked(text: str, number: int, spans: list[Any], links: list[Any]) -> dict[str, Any]:
    relations = [
        {"from_id": str(source), "to_id": str(target), "type": "relation", "direction": "right", "labels": [label]}
        for label, source, target in links
    ]
    return _task(number, {"text": text}, [*_span_results(text, spans), *relations])


def _write_classes(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    data = {name: value for name, value in example.items() if name != "labels"}
    results = [_result("choices", "label", {"choices": list(example["labels"])})] if example["labels"] else []
    return _task(number, data, results)


def _write_targets(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    results = [_result("textarea", "target", {"text": list(example["targets"])})]
    return _task(number, {"text": example["text"]}, results)


FORMAT = Format(
    "label-studio",
    _found,
    {"entities": _entities, "relations": _relations, "events": _events, "classes": _classes, "targets": _targets},
    {
        "entities": _write_entities,
        "relations": _write_relations,
        "events": _write_events,
        "classes": _write_classes,
        "targets": _write_targets,
    },
    whole=True,
)
