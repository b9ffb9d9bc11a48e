"""Documents: what the pipeline of a task reads: an object with a text, a question and its context, an image ..."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hf_ext.data.text_lines import (
    FileLine,
    fail,
    filled_lines,
    json_records,
    looks_like_json,
    texts_of,
    utf8_lines,
    valid_unicode,
)

# What a document has several of under one key.
_LISTS = ("turns", "choices")


def read_documents(
    path: Path | None, whole: bool, reads: Sequence[tuple[str, ...]], optional: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Documents of a file: texts as `texts_of` finds them, or the JSON lines or array that a pipeline reads.

    Lines are read as documents are asked for, so a file may be of any size; a JSON array is read whole.

    Args:
        path: the file; None: standard input.
        whole: take the file as one text.
        reads: the keys of a document, in any of these ways; of several, the first that a line has.
        optional: keys that it may have beside those.

    Raises:
        ValueError: naming the line, if it has none of these keys.
    """
    if ("text",) not in reads and whole:
        raise ValueError(f"whole has no effect with a model that reads JSON lines with {_wanted(reads)}; leave it out")
    if whole or (len(reads) == 1 and ("text",) in reads):
        yield from ({"text": text} for text in texts_of(path, whole))
        return
    name = "standard input" if path is None else str(path)
    lines = filled_lines(utf8_lines(path), name)
    head = list(islice(lines, 3))
    if not head:
        kind = "line" if ("text",) in reads else f"JSON object with {_wanted(reads)}"
        raise ValueError(f"{name} must have at least one {kind}, got none")
    if looks_like_json(head):
        for where, record in json_records(chain(head, lines)):
            yield pick_document(record, reads, optional, where)
        return
    for where, line in chain(head, lines):
        if ("text",) not in reads:
            fail(where, f"a line must be a JSON object with strings {_wanted(reads)}", line)
        yield {"text": valid_unicode(line, where)}


def pick_document(
    record: Any, reads: Sequence[tuple[str, ...]], optional: Sequence[str] = (), where: FileLine | str = "document"
) -> dict[str, Any]:
    """What a pipeline reads of an object, which may have more.

    Args:
        record: the object.
        reads: the keys of a document, in any of these ways; of several, the first that the object has.
        optional: keys that it may have beside those.
        where: its place, for errors.

    Raises:
        TextFileError: naming the place, if it has none of these keys, or something else than text under one.
    """
    keys = next((keys for keys in reads if isinstance(record, dict) and record.keys() >= {*keys}), ())
    more = [key for key in optional if keys and record.get(key) is not None]
    document = {key: record[key] for key in (*keys, *more)}
    if not document or not all(_is_text(key, value) for key, value in document.items()):
        lists = " (a list of them)" if any(key in _LISTS for keys in reads for key in keys) else ""
        fail(where, f"a line must be a JSON object with strings {_wanted(reads)}{lists}", record)
    return document


def document_of_text(text: str, reads: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """The document that a text, or the path of an image, is.

    Raises:
        ValueError: if a document has more to it.
    """
    key = next((name for name in ("text", "image") if (name,) in reads), None)
    if key is None:
        raise ValueError(f"this model reads JSON lines with {_wanted(reads)}, got a text alone")
    return {key: text}


def pipeline_input(document: Mapping[str, Any]) -> Any:
    """What a pipeline is called with for a document: a text where it is nothing else."""
    return document["text"] if document.keys() == {"text"} else document


def with_found(document: Mapping[str, Any], found: str, answer: Any) -> dict[str, Any]:
    """A document and what a pipeline gave for it, under the key that says what it finds."""
    return {**document, found: [answer] if isinstance(answer, dict) else answer}


def purpose_line(name: str, found: str, reads: Sequence[Sequence[str]]) -> str:
    """A line that says what a model is for.

    Args:
        name: of the model.
        found: what a pipeline finds with it.
        reads: the keys of a document, in any of these ways.
    """
    return f"{name} gives {found} for {' or '.join(' and '.join(keys) for keys in reads)}"


def _wanted(reads: Sequence[tuple[str, ...]]) -> str:
    return " or ".join(" and ".join(f'"{key}"' for key in keys) for keys in reads)


def _is_text(key: str, value: Any) -> bool:
    if key in _LISTS:
        return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)
    # A group may be called by a number.
    return isinstance(value, str) or (key == "group" and type(value) is int)
