"""Pairs of texts with a number that says how alike they are, and texts alone; the content tells the format."""

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from hf_ext.data.columns import tab_records
from hf_ext.data.text_lines import FileLine, fail, json_objects, looks_like_json, read_lines, text_value

_PAIR_KEYS = (("text1", "text2"), ("sentence1", "sentence2"), ("text_a", "text_b"))
_SCORE_KEYS = ("score", "label")


def read_text_pairs(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read pairs of texts with their scores from JSON lines, a JSON array or columns.

    1. JSON lines or a JSON array of ``{"text1": str, "text2": str, "score": number}``; the texts may be called
       ``sentence1`` and ``sentence2`` or ``text_a`` and ``text_b``, the score ``label``, and a number may be a string.
       Other keys are ignored.
    2. Columns separated by tabs: two texts and a score, or those named by a header. Quotes of CSV writers are taken
       away.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out.

    Returns:
        Dicts ``{"text1", "text2", "score"}``; a higher score is more alike, and its scale does not matter.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a text is blank or a score no finite number.
    """
    return [_pair(row, where) for where, row in _records(path, (*_PAIR_KEYS[0], _SCORE_KEYS[0]))]


def read_texts_alone(path: str | os.PathLike[str]) -> list[str]:
    """Read the distinct texts of a file, as SimCSE needs them, in the order in which they first occur.

    The file has a text a line, JSON lines or a JSON array of ``{"text": str}``, or pairs in a format of
    :func:`read_text_pairs`, with or without a score.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read or a text is blank.
    """
    return list(dict.fromkeys(_texts(path)))


def _texts(path: str | os.PathLike[str]) -> Iterator[str]:
    for where, record in _records(path, ("text",), _PAIR_KEYS[0], (*_PAIR_KEYS[0], _SCORE_KEYS[0])):
        names = next((keys for keys in _PAIR_KEYS if keys[0] in record), ("text",))
        yield from (text_value(record.get(name), name, where) for name in names)


def _records(path: str | os.PathLike[str], *names: tuple[str, ...]) -> Iterator[tuple[FileLine, Mapping[str, Any]]]:
    lines = read_lines(path)
    return json_objects(lines) if looks_like_json(lines) else tab_records(lines, *names)


def _pair(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    names = next((keys for keys in _PAIR_KEYS if keys[0] in record), _PAIR_KEYS[0])
    first, second = (text_value(record.get(name), name, where) for name in names)
    score = next((record[key] for key in _SCORE_KEYS if key in record), None)
    return {"text1": first, "text2": second, "score": _score(score, where)}


def _score(value: Any, where: FileLine) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        fail(where, "score must be a finite number", value)
    return score
