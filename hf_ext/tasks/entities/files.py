"""Reads and writes files of texts with labelled character spans; the format is detected from the content."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.data.formats.conll import read_conll
from hf_ext.data.formats.registry import Example, all_or_none, read_as
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, TextFileError, fail
from hf_ext.tasks.base.task_files import TaskFiles
from hf_ext.tasks.entities.example import EntityDataError, EntityExample, checked_example

_WANTED = "the line must be a JSON object with a key 'entities' or 'label'"


def read_entities(path: str | os.PathLike[str]) -> list[EntityExample]:
    """Read texts with entities from any of the formats that people have.

    1. JSON lines ``{"text": str, "entities": [{"start": int, "end": int, "label": str}]}``, ``end`` exclusive.
    2. CLUENER's JSON lines ``{"text": str, "label": {type: {surface: [[first, last]]}}}``, ``last`` inclusive.
    3. CoNLL: a token and its tag a line, a blank line between sentences; see :mod:`hf_ext.data.formats.conll`. Invalid
       tag sequences are read as ``conlleval`` reads them, and their number is logged once a file.
    4. Those of the other modules of :mod:`hf_ext.data.formats`: doccano, label-studio, brat, CMeEE, IMCS, lists of
       tokens and tags, tagged words.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; instead of JSON lines, one JSON array
    is read too. Keys other than these are ignored. An empty file has no examples.

    Returns:
        Dicts ``{"text", "entities"}`` with offsets in code points, ``end`` exclusive, sorted by (start, end, label);
        ``{"text"}`` alone where no line of a file is labelled, as in files to be predicted.

    Raises:
        EntityDataError: naming the file and the line, if a line cannot be read, a value has the wrong type, a label is
            blank, a span is empty, outside its text, of several parts or listed twice, a surface is not the text of its
            span, a file mixes tagging schemes, or some lines are labelled and others are not.
    """
    with _entity_errors():
        return _read(os.fspath(path))


def write_entities(path: str | os.PathLike[str], examples: Iterable[Mapping[str, Any]]) -> None:
    """Write examples as JSON lines that :func:`read_entities` reads; the file is replaced in one step or not at all.

    Args:
        path: the file to write, in a folder that exists.
        examples: ``{"text", "entities"}`` mappings; other keys are left out.

    Raises:
        EntityDataError: if an example is not valid, naming the line it would have had.
    """
    with _entity_errors(), atomic_write(path) as file:
        for number, example in enumerate(examples, start=1):
            where = FileLine(os.fspath(path), number)
            checked = checked_example(example.get("text"), example.get("entities"), where)
            file.write(json.dumps(checked, ensure_ascii=False) + "\n")


def entity_labels(examples: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sorted labels of the entities in examples: what a model has to tell apart."""
    return sorted({entity["label"] for example in examples for entity in example.get("entities", ())})


@contextmanager
def _entity_errors() -> Iterator[None]:
    """Turns an error of a line into the one of this task."""
    try:
        yield
    except TextFileError as error:
        path, line = error.where if isinstance(error.where, FileLine) else (error.where, None)
        raise EntityDataError(error.message, path, line) from error


def _read(path: str) -> list[EntityExample]:
    source = Source(path)
    shared = read_as("entities", source)
    if shared is None:
        shared = map(_own, source.objects) if source.is_json else read_conll(source)
    read = all_or_none(shared, "entities", _WANTED)
    return [_checked(where, example) for where, example in read]


def _checked(where: FileLine, example: dict[str, Any]) -> EntityExample:
    checked = checked_example(example.get("text"), example.get("entities", []), where)
    if "entities" not in example:
        del checked["entities"]
    return checked


def _own(line: tuple[FileLine, dict[str, Any]]) -> Example:
    where, record = line
    text = record.get("text")
    if "entities" in record:
        return where, {"text": text, "entities": record["entities"]}
    if "label" in record:
        return where, {"text": text, "entities": list(_cluener_entities(text, record["label"], where))}
    if not isinstance(text, str):
        fail(where, _WANTED, sorted(record))
    return where, {"text": text}


def _cluener_entities(text: Any, labels: Any, where: FileLine) -> Iterator[dict[str, Any]]:
    if not isinstance(labels, dict):
        fail(where, "label must be an object {type: {surface: [[first, last]]}}", labels)
    for label, surfaces in labels.items():
        if not isinstance(surfaces, dict):
            fail(where, f"label {label!r} must hold an object {{surface: [[first, last]]}}", surfaces)
        for surface, spans in surfaces.items():
            if not isinstance(spans, list):
                fail(where, f"the spans of {surface!r} must be a list [[first, last]]", spans)
            for span in spans:
                if not (isinstance(span, list) and len(span) == 2 and all(type(at) is int for at in span)):
                    fail(where, f"a span of {surface!r} must be two integers [first, last]", span)
                start, end = span[0], span[1] + 1
                # Spans outside the text are left to the check that all formats share.
                if isinstance(text, str) and 0 <= start < end <= len(text) and text[start:end] != surface:
                    fail(where, f"the text of {label!r} at [{start}, {end - 1}] must be {surface!r}", text[start:end])
                yield {"start": start, "end": end, "label": label}


FILES = TaskFiles("ner", read_entities, "entities")
