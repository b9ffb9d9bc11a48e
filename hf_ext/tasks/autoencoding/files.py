"""Files of texts, a text a line or in JSON."""

import os
from collections.abc import Sequence
from typing import Any

from hf_ext.data.text_lines import read_texts as texts_of_lines, utf8_lines
from hf_ext.tasks.base.task_files import TaskFiles

# Characters of a text in an error.
_SHOWN = 20


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


def check_text_lengths(texts: Sequence[str], lengths: Sequence[int], half_length: int) -> None:
    """Refuse texts that a model has no positions for.

    Args:
        texts: one or more.
        lengths: their tokens, special ones included.
        half_length: of the model.

    Raises:
        ValueError: naming the longest text, if it has more tokens than ``half_length``.
    """
    longest = max(lengths)
    if longest > half_length:
        text = texts[list(lengths).index(longest)]
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise ValueError(
            f"a text must have at most half_length={half_length} tokens, got {longest} in {shown!r}: shorten it, or "
            "train a model with a greater half_length"
        )


FILES = TaskFiles("autoencoder", read_texts)
