"""Texts, or pairs of texts, with a class or several; the format of a file is told by its content."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_ext.data.text_lines import fail, parse_json, read_lines, text_value

logger = logging.getLogger(__name__)

_JSON = re.compile(r'\s*(\{\s*["}]|\[\s*[{\]])')
# How the texts of a row are called in published files; two names are a pair.
_TEXT_KEYS = (("text1", "text2"), ("sentence1", "sentence2"), ("text", "text2"), ("text_a", "text_b"), ("sentence",))
_COLUMNS = {"label", "id", *(key for keys in _TEXT_KEYS for key in keys)}
# What NLI data have for a pair on which its annotators do not agree.
_NO_LABEL = "-"


def read_labelled_texts(path: str | os.PathLike[str], labels: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Read texts with their classes from a file in one of these formats.

    1. JSON lines ``{"text": str, "label": str}``, or ``"labels": [str]`` where a text has any number of them; with
       ``"text2"`` for pairs. Texts may be called ``text1`` and ``text2``, ``sentence1`` and ``sentence2``, ``text_a``
       and ``text_b`` or ``sentence`` as well, and a label may be an integer. Other keys are ignored.
    2. JSON arrays ``[{"sentence": str, "labels": [str]}, ...]``, one document a line (CAIL 2019).
    3. Columns parted by tabs: text and label, or two texts and label; or in the order of a header such as
       ``label<TAB>text_a``.
    4. With the header ``label,content``: labels joined by ``|``, a comma, and the text, which may have commas.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out. Pairs
    labelled ``-`` are left out, and their number is logged.

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
    for where, record in _records(path):
        example = _example(record, where)
        if example.get("label") == _NO_LABEL:
            left_out += 1
            continue
        if examples and example.keys() != examples[0].keys():
            fail(where, f"every row must have {', '.join(examples[0])} as the first", ", ".join(example))
        if labels is not None:
            for label in labels_of(example):
                if label not in labels:
                    fail(where, f"label must be one of {', '.join(labels)[:200]}", label)
        examples.append(example)
    if left_out:
        logger.warning("%s: %d rows labelled %r are left out", os.fspath(path), left_out, _NO_LABEL)
    return examples


def labels_of(example: Mapping[str, Any]) -> Sequence[str]:
    """The classes of a text: one, or any number."""
    return (example["label"],) if "label" in example else example["labels"]


def label_names(examples: Sequence[Mapping[str, Any]]) -> list[str]:
    """All classes that occur, sorted; integers by their value."""
    names = {label for example in examples for label in labels_of(example)}
    return sorted(names, key=int) if all(re.fullmatch(r"-?\d+", name) for name in names) else sorted(names)


def _records(path: str | os.PathLike[str]) -> Iterator[tuple[str, Any]]:
    """Rows as mappings, each after its place."""
    lines = read_lines(path)
    if not lines:
        return
    first = lines[0][1]
    if _JSON.match(first):
        for where, line in lines:
            parsed = parse_json(line, where)
            for record in parsed if isinstance(parsed, list) else [parsed]:
                if not isinstance(record, dict):
                    fail(where, "a row must be a JSON object", record)
                yield where, record
        return
    if first.strip() == "label,content":
        for where, line in lines[1:]:
            joined, comma, text = line.partition(",")
            if not comma:
                fail(where, "a line must be labels, a comma and a text", line)
            yield where, {"text": text, "labels": [label for label in joined.split("|") if label]}
        return
    header = [column.strip() for column in first.split("\t")]
    named = "label" in header and {*header} <= _COLUMNS
    for where, line in lines[named:]:
        columns = line.split("\t")
        names = header if named else {2: ["text", "label"], 3: ["text1", "text2", "label"]}.get(len(columns), [])
        if len(columns) != len(names):
            wanted = f"{len(header)} columns" if named else "2 columns, text and label, or 3, two texts and label,"
            fail(where, f"a line must be {wanted} parted by tabs, not {len(columns)}", line)
        yield where, dict(zip(names, columns))


def _example(record: dict[str, Any], where: str) -> dict[str, Any]:
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
        example["labels"] = sorted({_label(label, where) for label in labels})
    elif "label" in record:
        example["label"] = _label(record["label"], where)
    else:
        fail(where, "a row must have 'label' or 'labels'", sorted(record))
    return example


def _label(value: Any, where: str) -> str:
    return text_value(str(value) if type(value) is int else value, "label", where)
