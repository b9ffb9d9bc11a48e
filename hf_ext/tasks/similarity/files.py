"""Pairs of texts with a number that says how alike they are, and texts alone; the content tells the format."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hf_ext.data.columns import column_records
from hf_ext.data.formats.source import Source
from hf_ext.data.text_keys import TEXT_KEYS, text_keys_of
from hf_ext.data.text_lines import FileLine, fail, json_objects, text_value
from hf_ext.tasks.base.task_files import TaskFiles

_SCORE_KEYS = ("score", "label")
_BOOLEANS = {"true": 1.0, "false": 0.0}


def read_text_pairs(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read pairs of texts with their scores from JSON lines, a JSON array or columns.

    1. JSON lines or a JSON array of ``{"text1": str, "text2": str, "score": number}``; the texts may be called
       ``sentence1`` and ``sentence2``, ``text_a`` and ``text_b`` or ``text`` and ``text2``, the score ``label``, and a
       number may be a string. True is 1, and false 0. Other keys are ignored.
    2. Columns separated by tabs or by ``||``: two texts and a score, with or without an id before them.
    3. Columns separated by tabs or commas, named by a header, of which others are ignored. Quotes of CSV writers are
       taken away.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out.

    Returns:
        Dicts ``{"text1", "text2", "score"}``; a higher score is more alike, and its scale does not matter.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a text is blank or a score no finite number.
    """
    return [_pair(row, where) for where, row in _records(path, (*TEXT_KEYS[0], _SCORE_KEYS[0]))]


def read_texts_alone(*paths: str | os.PathLike[str]) -> list[str]:
    """Read the distinct texts of files, as SimCSE needs them, in the order in which they first occur.

    A file has a text a line, JSON lines or a JSON array of ``{"text": str}``, columns with a header that has one of
    these names, or pairs in a format of :func:`read_text_pairs`, with or without a score. A text may be called
    ``sentence``, ``content`` or ``review`` as well.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read or a text is blank.
    """
    return list(dict.fromkeys(text for path in paths for text in _texts(path)))


def pair_texts(pairs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Both texts of each pair."""
    for pair in pairs:
        yield from (pair["text1"], pair["text2"])


def _texts(path: str | os.PathLike[str]) -> Iterator[str]:
    for where, record in _records(path, ("text",), TEXT_KEYS[0], (*TEXT_KEYS[0], _SCORE_KEYS[0])):
        yield from (text_value(record.get(name), name, where) for name in text_keys_of(record) or ("text",))


def _records(path: str | os.PathLike[str], *names: tuple[str, ...]) -> Iterator[tuple[FileLine, Mapping[str, Any]]]:
    source = Source(path)
    return json_objects(source.filled) if source.is_json else column_records(source.lines, *names)


def _pair(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    names = next((keys for keys in TEXT_KEYS if len(keys) > 1 and keys[0] in record), TEXT_KEYS[0])
    first, second = (text_value(record.get(name), name, where) for name in names)
    score = next((record[key] for key in _SCORE_KEYS if key in record), None)
    return {"text1": first, "text2": second, "score": _score(score, where)}


def _score(value: Any, where: FileLine) -> float:
    named = _BOOLEANS.get(str(value).strip().casefold()) if isinstance(value, bool | str) else None
    try:
        score = float(value) if named is None else named
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        fail(where, "score must be a finite number", value)
    return score


FILES = TaskFiles("similarity", read_text_pairs)
