"""brat's standoff: a folder of texts with their annotations, ``TEXT.txt`` and ``TEXT.ann``, or one such pair by either.

``T1<TAB>label start end<TAB>string`` is a span, ``R1<TAB>label Arg1:T1 Arg2:T2`` a relation, and ``E1<TAB>type:T1
role:T2`` an event; the number behind a role is none of it (``Theme2``). An event as an argument stands for its trigger.
Attributes, normalizations, equivalences and notes (A, M, N, *, #) are left out. Spans of several parts are refused.

Places are counted in code points of the text as it is, carriage returns and line breaks included, ``end`` exclusive.
A text is one example. Spans that trigger events are no entities.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.linked_spans import Link, relations_of
from hf_ext.data.text_lines import FileLine, fail, read_lines

_LINE = re.compile(r"([TREAMN][^\t ]*|\*|#[^\t ]*)\t")
_PART = re.compile(r"(\S+) (\d+) (\d+)((?:;\d+ \d+)*)")
_ROLE = re.compile(r"(.*?\D)\d*")


class _Document(NamedTuple):
    """A text with what is annotated in it: spans by their names, and lines of relations and events, taken apart."""

    where: FileLine
    text: str
    spans: dict[str, dict[str, Any]]
    relations: list[tuple[FileLine, str, list[tuple[str, str]]]]
    events: dict[str, tuple[FileLine, list[tuple[str, str]]]]


def _pairs(source: Source) -> list[tuple[Path, Path]]:
    """Texts with their annotations."""
    path = Path(source.path)
    if source.is_folder:
        found = sorted({one.with_suffix("") for one in path.rglob("*.ann")})
        return [(one.with_name(f"{one.name}.txt"), one.with_name(f"{one.name}.ann")) for one in found]
    if path.suffix not in (".txt", ".ann"):
        return []
    pair = path.with_suffix(".txt"), path.with_suffix(".ann")
    return [pair] if all(map(os.path.isfile, pair)) else []


def _found(source: Source) -> bool:
    pairs = _pairs(source)
    if source.is_folder or not pairs:
        return bool(pairs)
    # A text file may have a stranger of its name beside it.
    return all(_LINE.match(line) for _, line in read_lines(pairs[0][1])[:3])


def _documents(source: Source) -> Iterator[_Document]:
    pairs = _pairs(source)
    lone = sorted({*Path(source.path).rglob("*.txt")} - {text for text, _ in pairs}) if source.is_folder else []
    if lone:
        fail(str(lone[0]), "a text must have its annotations beside it in a file .ann, empty if there are none", "none")
    for text_file, file in pairs:
        if not text_file.is_file():
            fail(str(file), f"annotations must have their text beside them in {text_file.name}", "none")
        # Carriage returns count.
        text = "\n".join(line for _, line in read_lines(text_file, exact=True))
        text += "\n" * text_file.read_bytes().endswith(b"\n")
        yield _document(FileLine(str(text_file), 1), text, file)


def _document(where: FileLine, text: str, file: Path) -> _Document:
    document = _Document(where, text, {}, [], {})
    for place, line in read_lines(file):
        match = _LINE.match(line)
        if match is None:
            fail(place, "a line must begin with T1, R1, E1 or another such name, and a tab", line)
        name, rest = match[1], line[match.end() :]
        if name in document.spans or name in document.events:
            fail(place, "each annotation must have a name of its own", name)
        if name[0] == "T":
            document.spans[name] = _span(text, rest, place)
        elif name[0] == "E":
            document.events[name] = (place, _ends(rest, place))
        elif name[0] == "R":
            label, _, ends = rest.partition(" ")
            document.relations.append((place, label, _ends(ends, place)))
    return document


def _span(text: str, rest: str, where: FileLine) -> dict[str, Any]:
    places, tab, surface = rest.partition("\t")
    match = _PART.fullmatch(places)
    if match is None or not tab:
        fail(where, "a span must be its label, start and end, a tab and its string", rest)
    if match[4]:
        fail(where, "a span must be of one part", places)
    start, end = int(match[2]), int(match[3])
    # brat shows line breaks as spaces.
    if not 0 <= start < end <= len(text) or text[start:end].replace("\n", " ") != surface:
        fail(where, f"the text at {start} to {end} must be {surface!r}", text[start:end])
    return {"start": start, "end": end, "label": match[1], "where": where}


def _ends(rest: str, where: FileLine) -> list[tuple[str, str]]:
    """Role and name of each of ``Arg1:T1 Arg2:T2``."""
    parts = [part.partition(":") for part in rest.split()]
    if not parts or not all(mark and role and name for role, mark, name in parts):
        fail(where, "a line must have ends as Arg1:T1, separated by spaces", rest)
    return [(role, name) for role, _, name in parts]


def _target(document: _Document, name: str, where: FileLine) -> str:
    """The span of that name, or the trigger of the event."""
    if name in document.events:
        name = document.events[name][1][0][1]
    if name not in document.spans:
        fail(where, "an end must be a span or an event that is there", name)
    return name


def _entities(source: Source) -> Iterator[Example]:
    for document in _documents(source):
        triggers = {ends[0][1] for _, ends in document.events.values()}
        entities = [span for name, span in document.spans.items() if name not in triggers]
        yield document.where, {"text": document.text, "entities": entities}


def _relations(source: Source) -> Iterator[Example]:
    for document in _documents(source):
        links = []
        for where, label, ends in document.relations:
            if len(ends) != 2:
                fail(where, "a relation must have two ends", len(ends))
            source_name, target_name = (_target(document, name, where) for _, name in ends)
            links.append(Link(label, source_name, target_name, where))
        yield document.where, {"text": document.text, "relations": relations_of(document.spans, links)}


def _events(source: Source) -> Iterator[Example]:
    for document in _documents(source):
        events = []
        for where, ((kind, trigger), *ends) in document.events.values():
            if trigger not in document.spans:
                fail(where, "a trigger must be a span that is there", trigger)
            arguments = [_argument(document, role, name, where) for role, name in ends]
            events.append({"type": kind, "trigger": document.spans[trigger], "arguments": arguments, "where": where})
        yield document.where, {"text": document.text, "events": events}


def _argument(document: _Document, role: str, name: str, where: FileLine) -> dict[str, Any]:
    span = document.spans[_target(document, name, where)]
    match = _ROLE.fullmatch(role)
    return {"role": match[1] if match else role, "start": span["start"], "end": span["end"]}


FORMAT = Format("brat", _found, {"entities": _entities, "relations": _relations, "events": _events})
