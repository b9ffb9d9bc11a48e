"""Texts, or pairs of texts, with a class or several; the format is detected from the content."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_ext.data.columns import comma_records, tab_records
from hf_ext.data.text_lines import FileLine, fail, json_records, looks_like_json, read_lines, text_value

logger = logging.getLogger(__name__)

_COMMA_HEADER = re.compile(r'\s*("?)label\1\s*,\s*("?)content\2\s*', re.IGNORECASE)
# How the texts of a row are called in published files; two names are a pair.
_TEXT_KEYS = (
    ("text1", "text2"),
    ("sentence1", "sentence2"),
    ("text", "text2"),
    ("text_a", "text_b"),
    ("sentence",),
    ("content",),
)
# What NLI data have for a pair on which its annotators do not agree.
_NO_LABEL = "-"
# A row of them as one string, or what the first comma leaves of it; and their numbers.
_VECTOR = re.compile(r"[\[(][01](\.0)?|[\[(]?\s*[01](\.0)?([\s,;|]+[01](\.0)?)+\s*[\])]?")
_ENTRIES = ("0", "1", "0.0", "1.0")
_NO_VECTORS = "labels must be the names of a text's classes, not a row of 0 and 1 with one for each class"


def read_labelled_texts(path: str | os.PathLike[str], labels: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Read texts, or pairs of texts, with their classes from JSON lines, a JSON array, TSV or CSV.

    1. JSON lines ``{"text": str, "label": str}``, or ``"labels": [str]`` where a text has any number of them; with
       ``"text2"`` for pairs. Texts may be called ``text1`` and ``text2``, ``sentence1`` and ``sentence2``, ``text_a``
       and ``text_b``, ``sentence`` or ``content`` as well, and a label may be an integer. Other keys are ignored.
    2. JSON arrays ``[{"sentence": str, "labels": [str]}, ...]``: one for the file, or one document a line (CAIL 2019).
    3. Columns separated by tabs: text and label, or two texts and label; or those named by a header such as
       ``label<TAB>text_a``, of which others are ignored.
    4. With the header ``label,content``: labels joined by ``|``, a comma, and the text, which may have commas.

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
                    fail(where, f"label must be one of {', '.join(labels)[:200]}", label)
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


def _records(path: str | os.PathLike[str]) -> Iterator[tuple[FileLine, Mapping[str, Any]]]:
    """Rows as mappings, each after its place."""
    lines = read_lines(path)
    if looks_like_json(lines):
        for where, value in json_records(lines):
            for record in value if isinstance(value, list) else [value]:
                if not isinstance(record, dict):
                    fail(where, "a row must be a JSON object", record)
                yield where, record
    elif lines and _COMMA_HEADER.fullmatch(lines[0][1]):
        # A text in quotes may have line breaks.
        every = read_lines(path, exact=True)
        rows = comma_records(every[lines[0][0].number :], ("label", "content"))
        for where, row in rows:
            yield where, {**row, "labels": [label for label in row["label"].split("|") if label]}
    else:
        yield from tab_records(lines, ("text", "label"), ("text1", "text2", "label"))


def _example(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    names = next((keys for keys in _TEXT_KEYS if keys[0] in record), None)
    if names is None:
        fail(where, "a row must have a text, such as 'text' or 'sentence1' and 'sentence2'", sorted(record))
    present = [name for name in names if record.get(name) is not None] or [names[0]]
    texts = [text_value(record[name], name, where) for name in present]
    example: dict[str, Any] = dict(zip(("text", "text2"), texts))
    if "labels" in record:
        labels = record["labels"]
        if not isinstance(labels, list):
            fail(where, "labels must be a list", labels)
        listed = [_label(label, where) for label in labels]
        if max(map(listed.count, _ENTRIES)) > 1:
            fail(where, _NO_VECTORS, labels)
        example["labels"] = sorted(set(listed))
    elif "label" in record:
        example["label"] = _label(record["label"], where)
    else:
        fail(where, "a row must have 'label' or 'labels'", sorted(record))
    return example


def _label(value: Any, where: FileLine) -> str:
    label = text_value(str(value) if type(value) is int else value, "label", where)
    if _VECTOR.fullmatch(label):
        fail(where, _NO_VECTORS, label)
    return label
