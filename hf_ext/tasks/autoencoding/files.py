"""Files of texts, a text a line or in JSON."""

import os
from typing import Any

from hf_ext.data.text_lines import read_texts as texts_of_lines, utf8_lines
from hf_ext.tasks.base.task_files import TaskFiles


def read_texts(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read a text a line, JSON lines ``{"text": str}``, or a JSON array of such or of strings; the content tells which.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines and texts are left out,
    and other keys ignored.

    Returns:
        Dicts ``{"text"}`` without spaces at the ends.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, or a text is not a string.
    """
    stripped = (text.strip() for text in texts_of_lines(utf8_lines(path), os.fspath(path)))
    return [{"text": text} for text in stripped if text]


FILES = TaskFiles("autoencoder", read_texts)
