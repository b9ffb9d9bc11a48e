"""The files of a pattern's texts, labelled or not."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_ext.data.formats.source import Source
from hf_ext.data.labelled_texts import label_value, read_labelled_texts
from hf_ext.data.listed_labels import listed_labels
from hf_ext.data.text_keys import text_keys_of
from hf_ext.data.text_lines import FileLine, TextFileError, fail, json_objects, lone_texts, read_lines
from hf_ext.tasks.cloze.pattern import ClozePattern, text_of_field, value_of_field


def read_cloze_texts(path: str | os.PathLike[str], pattern: ClozePattern) -> list[dict[str, Any]]:
    """Read texts with their labels.

    Where a pattern asks for a ``text`` and perhaps a ``text2`` alone, a file may have any of the formats of
    :func:`hf_ext.tasks.classification.read_labelled_texts`. Else it has JSON lines, or a JSON array, of objects with
    the pattern's own keys and a ``label``, a string or number; with candidates, these and the number of the right one.

    Args:
        path: the file.
        pattern: says which texts and which labels there are.

    Returns:
        Dicts with the pattern's texts and ``label``; of candidates the label is the number of the right one.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, lacks a text, or has no label of the
            pattern's.
    """
    if _reads_plain_texts(pattern):
        examples = read_labelled_texts(path, pattern.labels)
        if examples and "labels" in examples[0]:
            raise ValueError(f"{os.fspath(path)}: a text must have one label, got any number of them")
        missing = [name for name in pattern.fields if examples and name not in examples[0]]
        if missing:
            raise ValueError(f"{os.fspath(path)}: a row must have {missing[0]}, as the pattern says, got none")
        return examples
    return [_labelled(record, pattern, where) for where, record in _records(path)]


def read_unlabelled_texts(path: str | os.PathLike[str], pattern: ClozePattern) -> list[dict[str, Any]]:
    """Read texts whose labels, if they have any, do not matter.

    Args:
        path: JSON lines, or a JSON array, of objects with the pattern's texts; or for one ``text``, a text a line.
        pattern: says which texts there are.

    Returns:
        Dicts with the pattern's texts.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read or lacks a text.
    """
    if not Source(path).is_json:
        if pattern.fields != ("text",):
            raise ValueError(
                f"{os.fspath(path)} must have JSON lines with {', '.join(pattern.fields)}, as the pattern says, got "
                "lines of text"
            )
        return [{"text": text} for text in lone_texts(read_lines(path))]
    return [_texts(record, pattern, where) for where, record in _records(path)]


def _reads_plain_texts(pattern: ClozePattern) -> bool:
    return {*pattern.fields} <= {"text", "text2"} and pattern.candidates is None and pattern.blank is None


def _records(path: str | os.PathLike[str]) -> Iterator[tuple[FileLine, dict[str, Any]]]:
    return json_objects(Source(path).filled)


def _texts(record: Mapping[str, Any], pattern: ClozePattern, where: FileLine) -> dict[str, Any]:
    names = dict(zip(("text", "text2"), text_keys_of(record) or ()))
    example: dict[str, Any] = {}
    for name in pattern.fields:
        # A key of the file's own, or of a text by any name.
        key = name.partition(".")[0]
        source = key if key in record else names.get(key, key)
        if source in record:
            example[key] = record[source]
    try:
        for name in pattern.fields:
            text_of_field(example, name)
        if pattern.blank is not None:
            pattern.segments(example)
    except ValueError as error:
        raise TextFileError(where, str(error)) from error
    return example


def _labelled(record: Mapping[str, Any], pattern: ClozePattern, where: FileLine) -> dict[str, Any]:
    example = _texts(record, pattern, where)
    if pattern.candidates is None:
        if "label" not in record:
            fail(where, "a row must have 'label'", sorted(record))
        example["label"] = label_value(record["label"], where)
        if example["label"] not in pattern.labels:
            fail(where, f"label must be one of {listed_labels(pattern.labels)}", example["label"])
        return example
    words = candidates_of(record, pattern, where)
    right = value_of_field(record, pattern.answer)
    if isinstance(right, bool) or not isinstance(right, int) or not 0 <= right < len(words):
        fail(where, f"{pattern.answer} must be a number from 0 to {len(words) - 1}", json.dumps(right))
    return {**example, pattern.candidates: words, "label": str(right)}


def candidates_of(record: Mapping[str, Any], pattern: ClozePattern, where: FileLine | str) -> Sequence[str]:
    """The candidates of a row.

    Raises:
        TextFileError: naming the place, if there are no two, or one is no word or there twice.
    """
    words = value_of_field(record, str(pattern.candidates))
    is_list = isinstance(words, list | tuple) and len(words) > 1
    if not is_list or not all(isinstance(word, str) and word.strip() for word in words) or len({*words}) < len(words):
        fail(where, f"{pattern.candidates} must be a list of two words or more that differ", words)
    return list(words)
