"""A text with labelled character spans: what makes one valid, where it came from, and the error that names both."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from hf_ext.data.text_lines import FileLine, fail, valid_unicode


class EntityDataError(ValueError):
    """Entity data that cannot be used; ``path`` and the 1-based ``line`` say where, as far as they are known."""

    def __init__(self, message: str, path: str | None = None, line: int | None = None):
        super().__init__(message, path, line)
        self.message = message
        self.path = path
        self.line = line

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.path, self.line) if part is not None)
        return f"{where}: {self.message}" if where else self.message


class EntityExample(dict[str, Any]):
    """A dict ``{"text", "entities"}`` that remembers the file it was read from and the line of each entity."""

    __slots__ = ("lines", "path")

    def __init__(self, text: str, entities: list[dict[str, Any]], path: str, lines: list[int]):
        super().__init__(text=text, entities=entities)
        self.path = path
        self.lines = lines


def checked_example(text: Any, entities: Any, where: FileLine) -> EntityExample:
    """The example of one line, its entities ``{"start", "end", "label"}`` sorted by (start, end, label).

    An entity that knows its own place (`FileLine`) has it as ``where``.

    Raises:
        TextFileError: if a type is wrong, a string is not valid Unicode, a label is blank, or a span is empty, outside
            the text or listed twice.
    """
    if not isinstance(text, str):
        fail(where, "text must be a string", text)
    valid_unicode(text, where)
    if not isinstance(entities, list):
        fail(where, "entities must be a list", entities)
    spans = []
    for entity in entities:
        if not isinstance(entity, Mapping):
            fail(where, "an entity must be an object with start, end and label", entity)
        start, end, label = entity.get("start"), entity.get("end"), entity.get("label")
        own = entity.get("where")
        # JSON has no such value.
        own = own if isinstance(own, FileLine) else where
        # A boolean is an int to isinstance, and is no offset.
        if type(start) is not int or type(end) is not int:
            fail(own, "start and end must be integers", (start, end))
        if not isinstance(label, str) or not label.strip():
            fail(own, "label must be a string that is not blank", label)
        if start >= end:
            fail(own, f"start must be less than the exclusive end of {label!r}", (start, end))
        if start < 0 or end > len(text):
            fail(own, f"the span of {label!r} must lie within the text of {len(text)} characters", (start, end))
        valid_unicode(label, own)
        spans.append((start, end, label, own))
    spans.sort()
    for span, following in pairwise(spans):
        if span[:3] == following[:3]:
            fail(following[3], "an entity must be listed once", span[:3])
    entities = [{"start": start, "end": end, "label": label} for start, end, label, _ in spans]
    path = next((own.path for *_, own in spans), where.path)
    return EntityExample(text, entities, path, [own.number for *_, own in spans])


def check_labels(train: Iterable[Mapping[str, Any]], validation: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sorted labels of the training examples, after checking that the validation examples have no others.

    Raises:
        EntityDataError: naming the first label that training lacks, with its file and line where the example comes from
            :func:`hf_ext.tasks.entities.read_entities`, else with the example's number.
    """
    known = sorted({entity["label"] for example in train for entity in example.get("entities", ())})
    check_known_labels(validation, known)
    return known


def check_known_labels(validation: Iterable[Mapping[str, Any]], known: Sequence[str]) -> None:
    """Raise EntityDataError, as `check_labels` does, if examples have labels beside those known from training."""
    for number, example in enumerate(validation):
        for index, entity in enumerate(example.get("entities", ())):
            if entity["label"] not in known:
                message = f"validation label {entity['label']!r} is not among the training labels {sorted(known)}"
                if isinstance(example, EntityExample):
                    raise EntityDataError(message, example.path, example.lines[index])
                raise EntityDataError(f"{message} (validation example {number})")
