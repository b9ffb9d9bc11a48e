"""Reads files of texts with summaries; the format is detected from the content."""

import os

from hf_ext.data.columns import tab_records
from hf_ext.data.text_lines import json_objects, looks_like_json, read_lines, text_value


def read_summaries(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read texts with their summaries from JSON lines, a JSON array or two columns.

    1. JSON lines or a JSON array of ``{"text": str, "summary": str}``; other keys are ignored.
    2. Columns separated by tabs: summary and text, in which order T5-PEGASUS' own files have them, or those named by a
       header. Quotes of CSV writers are taken away.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out.

    Returns:
        Dicts ``{"text", "summary"}``, without spaces at their ends.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, or a text or a summary is blank.
    """
    lines = read_lines(path)
    records = json_objects(lines) if looks_like_json(lines) else tab_records(lines, ("summary", "text"))
    return [{name: text_value(row.get(name), name, where) for name in ("text", "summary")} for where, row in records]
