"""The files of texts, or of pairs of texts, with a class or several."""

import os
from collections.abc import Mapping
from typing import Any

from hf_ext.data.labelled_texts import (
    label_names as label_names,
    labels_of as labels_of,
    read_labelled_texts as read_labelled_texts,
)
from hf_ext.data.text_keys import text_keys_of
from hf_ext.data.text_lines import (
    FileLine,
    fail,
    json_objects,
    lone_texts,
    looks_like_json,
    read_lines,
    text_value,
)
from hf_ext.tasks.base.task_files import TaskFiles


def read_unlabelled_texts(path: str | os.PathLike[str], pairs: bool = False) -> list[dict[str, str]]:
    """Read texts, or pairs of texts, whatever labels they have.

    Args:
        path: JSON lines as those of `read_labelled_texts`, or a text a line; of pairs JSON lines alone.
        pairs: whether each is a pair.

    Returns:
        Dicts ``{"text"}``, and of pairs ``"text2"``.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, or is a text where there should be a pair,
            or the other way round.
    """
    lines = read_lines(path)
    if not pairs and not looks_like_json(lines[:3]):
        return [{"text": text} for text in lone_texts(lines)]
    return [_texts(record, where, pairs) for where, record in json_objects(lines)]


def _texts(record: Mapping[str, Any], where: FileLine, pairs: bool) -> dict[str, str]:
    names = text_keys_of(record)
    if names is None or len(names) != 1 + pairs:
        wanted = "two texts, such as 'sentence1' and 'sentence2'" if pairs else "one text, such as 'text'"
        fail(where, f"a row must have {wanted}", ", ".join(record))
    return {name: text_value(record[key], key, where) for name, key in zip(("text", "text2"), names)}


def _shared(example: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: example[name] for name in ("text", "text2") if name in example}
    return {**texts, "labels": list(labels_of(example))}


FILES = TaskFiles("classification", read_labelled_texts, "classes", _shared)
