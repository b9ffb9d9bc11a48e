"""Pairs of texts with a number that says how alike they are, and texts alone; a file's content tells its format."""

import math
import os
import re
from collections.abc import Iterator
from typing import Any

from hf_ext.data.text_lines import fail, parse_json, read_lines, text_value

_JSON_OBJECT = re.compile(r'\s*\{\s*["}]')
_PAIR_KEYS = (("text1", "text2"), ("sentence1", "sentence2"))
_SCORE_KEYS = ("score", "label")


def read_text_pairs(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read pairs of texts with their scores from a file in one of two formats.

    1. JSON lines ``{"text1": str, "text2": str, "score": number}``; the texts may be called ``sentence1`` and
       ``sentence2``, the score ``label``, and a number may be a string. Other keys are ignored.
    2. Lines of text, tab, text, tab, score.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out.

    Returns:
        Dicts ``{"text1", "text2", "score"}``; a higher score is more alike, and its scale does not matter.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a text is blank or a score no finite number.
    """
    lines = read_lines(path)
    as_json = bool(lines) and _JSON_OBJECT.match(lines[0][1]) is not None
    return [_json_pair(line, where) if as_json else _tab_pair(line, where) for where, line in lines]


def read_texts_alone(path: str | os.PathLike[str]) -> list[str]:
    """Read the distinct texts of a file, in the order in which they first occur.

    The file has a text a line, JSON lines ``{"text": str}``, or pairs in a format of :func:`read_text_pairs`, with or
    without a score.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read or a text is blank.
    """
    return list(dict.fromkeys(_texts(path)))


def _texts(path: str | os.PathLike[str]) -> Iterator[str]:
    lines = read_lines(path)
    as_json = bool(lines) and _JSON_OBJECT.match(lines[0][1]) is not None
    for where, line in lines:
        if as_json:
            record = _json_object(line, where)
            names = next((keys for keys in _PAIR_KEYS if keys[0] in record), ("text",))
            yield from (text_value(record.get(name), name, where) for name in names)
            continue
        columns = line.split("\t")
        if len(columns) > 3:
            fail(where, f"a line must be a text, or two texts and a score parted by tabs, not {len(columns)}", line)
        yield from (text_value(text, "text", where) for text in columns[:2])


def _json_pair(line: str, where: str) -> dict[str, Any]:
    record = _json_object(line, where)
    names = next((keys for keys in _PAIR_KEYS if keys[0] in record), _PAIR_KEYS[0])
    first, second = (text_value(record.get(name), name, where) for name in names)
    score = next((record[key] for key in _SCORE_KEYS if key in record), None)
    return {"text1": first, "text2": second, "score": _score(score, where)}


def _tab_pair(line: str, where: str) -> dict[str, Any]:
    columns = line.split("\t")
    if len(columns) != 3:
        fail(where, f"a line must be two texts and a score parted by tabs, not {len(columns)} columns", line)
    first, second = (text_value(text, name, where) for text, name in zip(columns, _PAIR_KEYS[0]))
    return {"text1": first, "text2": second, "score": _score(columns[2], where)}


def _json_object(line: str, where: str) -> dict[str, Any]:
    record = parse_json(line, where)
    if not isinstance(record, dict):
        fail(where, "the line must be a JSON object", record)
    return record


def _score(value: Any, where: str) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        fail(where, "score must be a finite number", value)
    return score
