"""Reads files of dialogues; the format is detected from the content."""

import os
from collections.abc import Iterator
from typing import Any

from hf_ext.data.columns import split_columns
from hf_ext.data.header import is_header
from hf_ext.data.text_lines import (
    FileLine,
    JsonDocument,
    fail,
    is_json_lines,
    json_records,
    looks_like_json,
    read_lines,
    text_value,
)
from hf_ext.data.token_text import join_tokens
from hf_ext.tasks.base.task_files import TaskFiles

# The keys under which files of several splits have them.
SPLITS = {"train": ("train",), "validation": ("validation", "valid", "dev"), "test": ("test",)}
# The keys of a dialogue.
_KEYS = {"turns", "messages"}


def read_dialogues(path: str | os.PathLike[str], split: str = "train") -> list[dict[str, list[str]]]:
    """Read dialogues from JSON lines, or a file of LCCC, CDial-GPT or KdConv, in one of five formats.

    1. JSON lines, or a JSON array, of ``{"turns": [str]}``.
    2. LCCC's JSON lines ``[str]`` (``LCCD-large-shuf.jsonl``).
    3. LCCC's JSON object of splits ``{"train": [[str]], "valid": ...}`` (``toy_data.json``), or one split ``[[str]]``.
    4. CDial-GPT's text, a dialogue a line, its turns separated by tabs (``toy_train.txt``).
    5. KdConv's JSON array ``[{"messages": [{"message": str}]}]``.

    Formats 2 to 4 have their words or characters separated by spaces, which are taken away: between Chinese characters,
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
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    lines = read_lines(path)
    if looks_like_json(lines):
        records = _json_dialogues(lines, split)
    else:
        if lines and is_header(split_columns(lines[0][1])):
            fail(lines[0][0], "a line must be the turns of a dialogue, not the names of columns", lines[0][1])
        records = ((where, split_columns(line)) for where, line in lines)
    return [{"turns": _turns(record, where)} for where, record in records]


def _json_dialogues(lines: list[tuple[FileLine, str]], split: str) -> Iterator[tuple[FileLine, Any]]:
    """Each dialogue after its place."""
    if is_json_lines(lines):
        yield from json_records(lines)
        return
    document = JsonDocument(lines)
    value = document.value
    if _is_dialogue(value):
        yield lines[0][0], value
        return
    start = _start_of_split(document, split) if isinstance(value, dict) else 0
    yield from ((document.where(at), item) for _, at, item in document.members(start))


def _is_dialogue(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], str)
    return not _KEYS.isdisjoint(value)


def _start_of_split(document: JsonDocument, split: str) -> int:
    """Where the list of a split begins in a JSON object of splits."""
    members = {key: (at, value) for key, at, value in document.members()}
    for key in SPLITS[split]:
        if key in members:
            at, value = members[key]
            if not isinstance(value, list):
                fail(document.where(at), f"{key!r} must be a list of dialogues", value)
            return at
    wanted = f"an object must have the key 'turns', or the split {' or '.join(map(repr, SPLITS[split]))}"
    fail(document.where(0), wanted, sorted(document.value))


def _turns(record: Any, where: FileLine) -> list[str]:
    """The turns of a dialogue as a file has it."""
    segmented = isinstance(record, list)
    if isinstance(record, dict):
        if "turns" in record:
            record = record["turns"]
        elif isinstance(record.get("messages"), list):
            record = [turn.get("message") if isinstance(turn, dict) else turn for turn in record["messages"]]
        else:
            fail(where, "a dialogue must have the key 'turns' or 'messages'", sorted(record))
    if not isinstance(record, list) or len(record) < 2:
        fail(where, "a dialogue must be a list of at least two turns", record)
    turns = [text_value(turn, "a turn", where) for turn in record]
    return [join_tokens(turn.split())[0] for turn in turns] if segmented else turns


FILES = TaskFiles("dialogue", read_dialogues, splits=tuple(SPLITS))
