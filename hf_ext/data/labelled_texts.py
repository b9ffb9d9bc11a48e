"""Texts, or pairs of texts, with a class or several; the format is detected from the content."""

import json
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hf_ext.data.columns import column_records
from hf_ext.data.formats.registry import Example, read_as
from hf_ext.data.formats.source import Source
from hf_ext.data.listed_labels import listed_labels
from hf_ext.data.text_keys import text_keys_of
from hf_ext.data.text_lines import FileLine, fail, json_records, text_value

logger = logging.getLogger(__name__)

# Of published files whose labels are joined before a comma, and whose texts have commas without quotes.
_OPEN_HEADER = ("label", "content")
_JOINED_BY = "|"
# What NLI data have for a pair on which its annotators do not agree.
_NO_LABEL = "-"
# A row of them as one string, or what the first comma leaves of it; and their numbers.
_VECTOR = re.compile(r"[\[(][01](\.0)?|[\[(]?\s*[01](\.0)?([\s,;|]+[01](\.0)?)+\s*[\])]?")
_ENTRIES = ("0", "1", "0.0", "1.0")
_NO_VECTORS = "labels must be the names of a text's classes, not a row of 0 and 1 with one for each class"


def read_labelled_texts(path: str | os.PathLike[str], labels: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Read texts, or pairs of texts, with their classes from any of the formats that people have.

    1. JSON lines ``{"text": str, "label": str}``, or ``"labels": [str]`` where a text has any number of them; with
       ``"text2"`` for pairs. Texts may be called ``text1`` and ``text2``, ``sentence1`` and ``sentence2``, ``text_a``
       and ``text_b``, ``sentence``, ``content`` or ``review`` as well. A label may be a number or a boolean, whose
       JSON is its name: ``1``, ``0.5``, ``true``. Other keys are ignored.
    2. JSON arrays ``[{"sentence": str, "labels": [str]}, ...]``: one for the file, or one document a line (CAIL 2019).
    3. Columns separated by tabs or by ``||``: text and label, or two texts and label, with or without an id before
       them.
    4. Columns separated by tabs or commas, named by a header such as ``label<TAB>text_a``, of which others are ignored.
       Those called ``labels`` are joined by ``|``.
    5. With the header ``label,content``: labels joined by ``|``, a comma, and the text, which may have commas.
    6. doccano and label-studio (``choices``), with one label a text if each has one, else with any number.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out. Quotes that
    CSV writers put around a column are taken away. Pairs labelled ``-`` are left out, and their number is
    logged. Labels are names: a row of 0 and 1, one for each class, is refused.

    Args:
        path: the file.
        labels: the classes there are, where they are known; None: any.

    Returns:
        Dicts ``{"text", "label"}``, or ``{"text", "labels"}`` without repetitions, and ``"text2"`` of pairs.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a text or a label is blank, a label is not
            among those known, or rows with one label and with several, or texts and pairs, are mixed.
    """
    examples: list[dict[str, Any]] = []
    left_out = 0
    first: FileLine | None = None
    for where, record in _records(path):
        first = first or where
        example = _example(record, where)
        if "text2" in example and example.get("label") == _NO_LABEL:
            left_out += 1
            continue
        if examples and example.keys() != examples[0].keys():
            fail(where, f"every row must have {', '.join(examples[0])} as the first", ", ".join(example))
        if labels is not None:
            for label in labels_of(example):
                if label not in labels:
                    fail(where, f"label must be one of {listed_labels(labels)}", label)
        examples.append(example)
    # Vectors of two classes, with one of them each; others repeat a 0 or a 1.
    if (
        first is not None
        and examples
        and all(example.get("labels") in (["0", "1"], ["0.0", "1.0"]) for example in examples)
    ):
        fail(first, _NO_VECTORS, "0 and 1 in every row")
    if left_out:
        logger.warning("%s: %d rows labelled %r are left out", os.fspath(path), left_out, _NO_LABEL)
    return examples


def labels_of(example: Mapping[str, Any]) -> Sequence[str]:
    """The classes of a text: one, or any number."""
    return (example["label"],) if "label" in example else example["labels"]


def label_names(examples: Sequence[Mapping[str, Any]]) -> list[str]:
    """All classes that occur, sorted; integers by their value, and those of one value, as 1 and 01, as strings."""
    names = sorted({label for example in examples for label in labels_of(example)})
    # Python reads no integer that is longer.
    return sorted(names, key=int) if all(re.fullmatch(r"-?\d{1,4300}", name) for name in names) else names


def label_value(value: Any, where: FileLine) -> str:
    """The name of a class from what a file has for it: a string, or the JSON of a number or a boolean.

    Raises:
        TextFileError: naming the place, if it is something else, blank, or a row of 0 and 1.
    """
    is_number = isinstance(value, int | float) and math.isfinite(value)
    label = text_value(json.dumps(value) if is_number else value, "label", where)
    if _VECTOR.fullmatch(label):
        fail(where, _NO_VECTORS, label)
    return label


def _records(path: str | os.PathLike[str]) -> Iterator[tuple[FileLine, Mapping[str, Any]]]:
    """Rows as mappings, each after its place."""
    source = Source(path)
    shared = read_as("classes", source)
    if shared is not None:
        yield from _of_tool(shared)
    elif source.is_json:
        for where, value in json_records(source.filled):
            for record in value if isinstance(value, list) else [value]:
                if not isinstance(record, dict):
                    fail(where, "a row must be a JSON object", record)
                yield where, record
    else:
        names = (("text", "label"), ("text1", "text2", "label"))
        for where, row in column_records(source.lines, *names, open_header=_OPEN_HEADER):
            joined = row.get("labels", row["label"] if tuple(row) == _OPEN_HEADER else None)
            yield where, row if joined is None else {**row, "labels": [one for one in joined.split(_JOINED_BY) if one]}


def _of_tool(examples: Iterable[Example]) -> Iterator[tuple[FileLine, Mapping[str, Any]]]:
    """Rows with one label, if each has one: the tools have lists in either case."""
    rows = list(examples)
    single = all(len(example.get("labels", ())) == 1 for _, example in rows)
    for where, example in rows:
        if single:
            (label,) = example.pop("labels")
            example["label"] = label
        yield where, example


def _example(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    names = text_keys_of(record)
    if names is None:
        fail(where, "a row must have a text, such as 'text' or 'sentence1' and 'sentence2'", sorted(record))
    texts = [text_value(record[name], name, where) for name in names]
    example: dict[str, Any] = dict(zip(("text", "text2"), texts))
    if "labels" in record:
        labels = record["labels"]
        if not isinstance(labels, list):
            fail(where, "labels must be a list", labels)
        listed = [label_value(label, where) for label in labels]
        if max(map(listed.count, _ENTRIES)) > 1:
            fail(where, _NO_VECTORS, labels)
        example["labels"] = sorted(set(listed))
    elif "label" in record:
        example["label"] = label_value(record["label"], where)
    else:
        fail(where, "a row must have 'label' or 'labels'", sorted(record))
    return example
