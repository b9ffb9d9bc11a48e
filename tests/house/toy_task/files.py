"""Reads texts with verdicts."""

import os
from typing import Any

from hf_ext.data.text_lines import fail, json_objects, read_lines, text_value


def read_verdicts(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read JSON lines ``{"text": str, "good": bool}``.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read or has no verdict.
    """
    examples = []
    for where, record in json_objects(read_lines(path)):
        if not isinstance(record.get("good"), bool):
            fail(where, "good must be true or false", record.get("good"))
        examples.append({"text": text_value(record.get("text"), "text", where), "good": record["good"]})
    return examples
