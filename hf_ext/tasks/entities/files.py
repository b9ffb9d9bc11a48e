"""Reads and writes files of texts with labelled character spans; the format of a file is told by its content."""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from hf_ext.atomic_file import atomic_write
from hf_ext.tasks.entities.conll import read_conll
from hf_ext.tasks.entities.example import EntityDataError, EntityExample, checked_example

logger = logging.getLogger(__name__)

# A CoNLL file may begin with a brace too, but not with one followed by a quote.
_JSON_OBJECT = re.compile(r'\s*\{\s*["}]')


def read_entities(path: str | os.PathLike[str]) -> list[EntityExample]:
    """Read texts with entities from a file in one of three formats.

    1. JSON lines ``{"text": str, "entities": [{"start": int, "end": int, "label": str}]}``, ``end`` exclusive.
    2. CLUENER's JSON lines ``{"text": str, "label": {type: {surface: [[first, last]]}}}``, ``last`` inclusive.
    3. CoNLL: a token and its tag a line, parted by a tab or spaces, a blank line between sentences; see
       :mod:`hf_ext.tasks.entities.conll` for the tagging schemes. Invalid tag sequences are read as ``conlleval`` reads
       them, and their number is logged once a file.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends. Keys other than these are ignored.
    An empty file has no examples.

    Returns:
        Dicts ``{"text", "entities"}`` with offsets in code points, ``end`` exclusive, sorted by (start, end, label).

    Raises:
        EntityDataError: naming the file and the line, if a line cannot be read, a value has the wrong type, a label is
            blank, a span is empty, outside its text or listed twice, CLUENER's surface is not the text of its span, or
            a CoNLL file mixes tagging schemes.
    """
    name = os.fspath(path)
    raw = Path(path).read_bytes()
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Counted in what the decoder was given, so that a byte order mark does not matter.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise EntityDataError(f"the file must be UTF-8, got {error.reason}", name, line) from error
    # Not splitlines: texts hold U+2028 and its like.
    lines = enumerate((line.removesuffix("\r") for line in content.split("\n")), start=1)
    if _JSON_OBJECT.match(content):
        return [_read_json(line, name, number) for number, line in lines if line.strip()]
    sentences, invalid = read_conll(lines, name)
    if invalid:
        where, what = invalid[0]
        message = "%s: %d invalid tag sequences, the first in line %d (%s); read as conlleval reads them"
        logger.warning(message, name, len(invalid), where, what)
    return sentences


def write_entities(path: str | os.PathLike[str], examples: Iterable[Mapping[str, Any]]) -> None:
    """Write examples as JSON lines that :func:`read_entities` reads; the file is replaced in one step or not at all.

    Args:
        path: the file to write, in a folder that exists.
        examples: ``{"text", "entities"}`` mappings; other keys are left out.

    Raises:
        EntityDataError: if an example is not valid, naming the line it would have had.
    """
    with atomic_write(path) as file:
        for number, example in enumerate(examples, start=1):
            checked = checked_example(example.get("text"), example.get("entities"), os.fspath(path), number)
            file.write(json.dumps(checked, ensure_ascii=False) + "\n")


def _read_json(line: str, path: str, number: int) -> EntityExample:
    try:
        record = json.loads(line)
    # ValueError also for an integer of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise EntityDataError(f"the line must be a JSON object, got {error}", path, number) from error
    if not isinstance(record, dict):
        raise EntityDataError(f"the line must be a JSON object, got {type(record).__name__}", path, number)
    text = record.get("text")
    if "entities" in record:
        entities = record["entities"]
    elif "label" in record:
        entities = list(_cluener_entities(text, record["label"], path, number))
    else:
        raise EntityDataError(f"the object must have a key 'entities' or 'label', got {sorted(record)}", path, number)
    return checked_example(text, entities, path, number)


def _cluener_entities(text: Any, labels: Any, path: str, line: int) -> Iterator[dict[str, Any]]:
    def fail(wanted: str, seen: Any) -> NoReturn:
        raise EntityDataError(f"{wanted}, got {seen!r}", path, line)

    if not isinstance(labels, dict):
        fail("label must be an object {type: {surface: [[first, last]]}}", labels)
    for label, surfaces in labels.items():
        if not isinstance(surfaces, dict):
            fail(f"label {label!r} must hold an object {{surface: [[first, last]]}}", surfaces)
        for surface, spans in surfaces.items():
            if not isinstance(spans, list):
                fail(f"the spans of {surface!r} must be a list [[first, last]]", spans)
            for span in spans:
                if not (isinstance(span, list) and len(span) == 2 and all(type(at) is int for at in span)):
                    fail(f"a span of {surface!r} must be two integers [first, last]", span)
                start, end = span[0], span[1] + 1
                # Spans outside the text are left to the check that all formats share.
                if isinstance(text, str) and 0 <= start < end <= len(text) and text[start:end] != surface:
                    fail(f"the text of {label!r} at [{start}, {end - 1}] must be {surface!r}", text[start:end])
                yield {"start": start, "end": end, "label": label}
