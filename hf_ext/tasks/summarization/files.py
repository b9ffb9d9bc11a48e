"""Reads files of texts with summaries; the format is detected from the content."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hf_ext.data.columns import column_records
from hf_ext.data.formats.registry import Example, all_or_none, read_as
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, json_objects, text_value
from hf_ext.tasks.base.task_files import TaskFiles


def read_summaries(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read texts with their summaries from JSON lines, a JSON array, columns, or an annotation tool's export.

    1. JSON lines or a JSON array of ``{"text": str, "summary": str}``; other keys are ignored.
    2. Columns separated by tabs: summary and text, in which order T5-PEGASUS' own files have them, with or without an
       id before them; or those named by a header, separated by tabs or commas. Quotes of CSV writers are taken away.
    3. doccano (sequence to sequence) and label-studio (``textarea``); a text with several summaries gives an example
       with each.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out.

    Returns:
        Dicts ``{"text", "summary"}``, without spaces at their ends.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, or a text or a summary is blank.
    """
    source = Source(path)
    shared = read_as("targets", source)
    if shared is not None:
        records: Iterable[tuple[FileLine, Mapping[str, Any]]] = _each(shared)
    else:
        records = json_objects(source.filled) if source.is_json else column_records(source.lines, ("summary", "text"))
    return [{name: text_value(row.get(name), name, where) for name in ("text", "summary")} for where, row in records]


def _each(examples: Iterable[Example]) -> Iterator[tuple[FileLine, dict[str, Any]]]:
    for where, example in all_or_none(examples, "targets", "every text must have a summary"):
        for target in example.get("targets") or (None,):
            yield where, {"text": example["text"], "summary": target}


def _shared(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": example["text"], "targets": [example["summary"]]}


FILES = TaskFiles("summarization", read_summaries, "targets", _shared)
