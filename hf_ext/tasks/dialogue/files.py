"""Reads files of dialogues; the format of a file is told by its content."""

import json
import os
import re
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from hf_ext.tasks.entities.conll import join_tokens

# A line of text may begin with a brace or a bracket too ("[哈哈]"), but hardly with one that JSON goes on after.
_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*["{\[\]])')
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
# The keys under which files of several splits have them.
SPLITS = {"train": ("train",), "validation": ("validation", "valid", "dev"), "test": ("test",)}


class _Problem(ValueError):
    """What is wrong with the data of a line."""

    def __init__(self, message: str, line: int):
        super().__init__(message)
        self.line = line


def read_dialogues(path: str | os.PathLike[str], split: str = "train") -> list[dict[str, list[str]]]:
    """Read dialogues from a file in one of five formats.

    1. JSON lines ``{"turns": [str]}``.
    2. LCCC's JSON lines ``[str]`` (``LCCD-large-shuf.jsonl``).
    3. LCCC's JSON object of splits ``{"train": [[str]], "valid": ...}`` (``toy_data.json``), or one split ``[[str]]``.
    4. CDial-GPT's text, a dialogue a line, its turns parted by tabs (``toy_train.txt``).
    5. KdConv's JSON array ``[{"messages": [{"message": str}]}]``.

    Formats 2 to 4 have their words or characters parted by spaces, which are taken away: between Chinese characters,
    and beside punctuation. Files are UTF-8, with or without a byte order mark. Keys other than these are ignored, and
    so are empty lines. An empty file has no dialogues.

    Args:
        path: the file.
        split: ``"train"``, ``"validation"`` or ``"test"``: what to take of a file that holds several splits.

    Returns:
        Dicts ``{"turns"}`` of two turns or more, without white space around them.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a dialogue has fewer than two turns, a turn
            is no text or blank, or the file lacks the split.
    """
    name = os.fspath(path)
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    raw = Path(path).read_bytes()
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}:{line}: the file must be UTF-8, got {error.reason}") from error
    try:
        records = _json_records(content, split) if _JSON.match(content) else _text_records(content)
        return [{"turns": _turns(record, line)} for line, record in records]
    except _Problem as problem:
        raise ValueError(f"{name}:{problem.line}: {problem}") from None
    # ValueError also for an integer of thousands of digits.
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, JSONDecodeError) else 1
        raise ValueError(f"{name}:{line}: the file must be JSON, got {error}") from error


def _text_records(content: str) -> Iterator[tuple[int, list[str]]]:
    # Not splitlines: texts hold U+2028 and its like.
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield number, line.strip("\r").split("\t")


def _json_records(content: str, split: str) -> Iterator[tuple[int, Any]]:
    """Line and value of each dialogue."""
    start = _skip_space(content, 0)
    if content[start] == "[":
        # A list of texts is one dialogue of a file of lines.
        by_line = content[_skip_space(content, start + 1)] in '"]'
    else:
        first, _ = _DECODER.raw_decode(content, start)
        by_line = not first.keys().isdisjoint(("turns", "messages"))
    if not by_line:
        # What follows may then take the file to be valid.
        json.loads(content)
        start = start if content[start] == "[" else _find_split(content, start, split)
        line, last = 1, 0
        for _, at, value in _items(content, start):
            line, last = line + content.count("\n", last, at), at
            yield line, value
        return
    for number, text in enumerate(content.split("\n"), start=1):
        if text.strip():
            try:
                yield number, json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _Problem(f"the line must be JSON, got {error}", number) from error


def _find_split(content: str, start: int, split: str) -> int:
    """Where the list of a split begins in a JSON object of splits."""
    members = {key: (at, value) for key, at, value in _items(content, start)}
    for key in SPLITS[split]:
        if key in members:
            at, value = members[key]
            if not isinstance(value, list):
                raise _Problem(
                    f"{key!r} must be a list of dialogues, got {type(value).__name__}", content.count("\n", 0, at) + 1
                )
            return at
    wanted = f"an object must have the key 'turns', or the split {' or '.join(map(repr, SPLITS[split]))}"
    raise _Problem(f"{wanted}, got {sorted(members)}", content.count("\n", 0, start) + 1)


def _items(content: str, at: int) -> Iterator[tuple[Any, int, Any]]:
    """Key (None in an array), offset and value of each member of the valid JSON object or array that begins there."""
    closing = {"{": "}", "[": "]"}[content[at]]
    at = _skip_space(content, at + 1)
    while content[at] != closing:
        key = None
        if closing == "}":
            key, at = _DECODER.raw_decode(content, at)
            at = _skip_space(content, _skip_space(content, at) + len(":"))
        value, end = _DECODER.raw_decode(content, at)
        yield key, at, value
        at = _skip_space(content, end)
        if content[at] == ",":
            at = _skip_space(content, at + 1)


def _skip_space(content: str, at: int) -> int:
    match = _SPACE.match(content, at)
    return match.end() if match else at


def _turns(record: Any, line: int) -> list[str]:
    """The turns of a dialogue as a file has it."""
    segmented = isinstance(record, list)
    if isinstance(record, dict):
        if "turns" in record:
            record = record["turns"]
        elif isinstance(record.get("messages"), list):
            record = [turn.get("message") if isinstance(turn, dict) else turn for turn in record["messages"]]
        else:
            raise _Problem(f"a dialogue must have the key 'turns' or 'messages', got {sorted(record)}", line)
    if not isinstance(record, list) or len(record) < 2:
        got = len(record) if isinstance(record, list) else type(record).__name__
        raise _Problem(f"a dialogue must be a list of at least two turns, got {got}", line)
    for turn in record:
        if not isinstance(turn, str) or not turn.strip():
            raise _Problem(f"a turn must be a text that is not blank, got {turn!r}", line)
    return [join_tokens(turn.split())[0] if segmented else turn.strip() for turn in record]
