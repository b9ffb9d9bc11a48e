"""The files of questions with choices; the format is detected from the content."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from hf_ext.data.formats.registry import all_or_none, read_as
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, fail, json_objects, text_value
from hf_ext.tasks.base.task_files import TaskFiles


def read_choices(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read questions with choices, of which one each is right.

    1. JSON lines, or a JSON array, of ``{"text": str, "question": str, "choices": [str], "label": index}``; any number
       of choices, and without ``question`` it is the text alone that they are for. Instead of a question, ``"blank"``
       is the mark of a blank in the text that choices are to fill; other blanks there look like ``#idiom000123#``.
       Rows with the same ``"group"`` have the same choices, and may be asked to take different ones. ``"id"`` is kept,
       other keys are ignored.
    2. C3: ``[[["paragraph", ...], [{"question", "choice": [str], "answer": str}], "id"], ...]``.
    3. ChID, as CLUE or FewCLUE have it: ``{"candidates": [str], "content": ["...#idiom000123#..."]}``, the answers in a
       file beside (``train_answer.json`` beside ``train.json``).

    A file without labels is one to be predicted. Files are UTF-8, with or without a byte order mark.

    Returns:
        Dicts ``{"text", "choices"}``, with ``"question"``, ``"blank"``, ``"group"``, ``"label"`` and ``"id"`` where
        there are any.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a text or a choice is blank, a label is no
            index of a choice, a blank is not in its text once, rows of a group have other choices, or some rows have
            labels and others have none.
    """
    source = Source(path)
    records = read_as("choices", source)
    if records is None:
        records = _objects(source)
    wanted = "every row must have a 'label', or none"
    examples = all_or_none([(where, _example(record, where)) for where, record in records], "label", wanted)
    of_group: dict[Any, Any] = {}
    for where, example in examples:
        if "group" in example and of_group.setdefault(example["group"], example["choices"]) != example["choices"]:
            fail(where, f"rows of group {example['group']!r} must have the same choices", example["choices"])
    return [example for _, example in examples]


def _objects(source: Source) -> Iterator[tuple[FileLine, dict[str, Any]]]:
    if source.filled and not source.is_json:
        fail(source.filled[0][0], "the line must be a JSON object", source.filled[0][1])
    return json_objects(source.filled)


def _example(record: Mapping[str, Any], where: FileLine | str) -> dict[str, Any]:
    text, choices = record.get("text"), record.get("choices")
    if not isinstance(text, str) or not text.strip():
        fail(where, "text must be a string that is not blank", text)
    if not isinstance(choices, list) or not choices:
        fail(where, "choices must be a list of strings", choices)
    example: dict[str, Any] = {"text": text}
    if record.get("question") is not None:
        example["question"] = text_value(record["question"], "question", where)
    if record.get("blank") is not None:
        example["blank"] = _blank(record["blank"], text, where)
        if "question" in example:
            fail(where, "a row must have a question or a blank, not both", record["blank"])
    example["choices"] = [text_value(choice, "a choice", where) for choice in choices]
    for name in ("group", "id"):
        if record.get(name) is not None:
            if type(record[name]) not in (int, str):
                fail(where, f"{name} must be an integer or a string", record[name])
            example[name] = record[name]
    if record.get("label") is not None:
        label = record["label"]
        if type(label) is not int or not 0 <= label < len(choices):
            fail(where, f"label must be the number of a choice, from 0 to {len(choices) - 1}", label)
        example["label"] = label
    return example


def _blank(blank: Any, text: str, where: FileLine | str) -> str:
    if not isinstance(blank, str) or not blank or text.count(blank) != 1:
        fail(where, "blank must stand in the text once", blank)
    return blank


FILES = TaskFiles("multiple-choice", read_choices, "choices")
