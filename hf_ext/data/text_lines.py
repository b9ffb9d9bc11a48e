"""Lines of a text file, each with the place that an error about it names."""

import json
import os
from pathlib import Path
from typing import Any, NoReturn


def read_lines(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Lines that are not blank, each after its place, ``file:line``.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends.

    Raises:
        ValueError: naming the file and the line, if the file is not UTF-8.
    """
    name = os.fspath(path)
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        broken = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}:{broken}: the file must be UTF-8, got {error.reason}") from error
    # Not splitlines: texts hold U+2028 and its like.
    lines = enumerate((line.removesuffix("\r") for line in content.split("\n")), start=1)
    return [(f"{name}:{number}", line) for number, line in lines if line.strip()]


def parse_json(line: str, where: str) -> Any:
    """What a line of JSON says.

    Raises:
        ValueError: naming the place, if it is not JSON.
    """
    try:
        return json.loads(line)
    # ValueError also for an integer of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: the line must be JSON, got {error}") from error


def text_value(value: Any, name: str, where: str) -> str:
    """A text without spaces at its ends.

    Raises:
        ValueError: naming the place, if it is not a string or blank.
    """
    if not isinstance(value, str) or not value.strip():
        fail(where, f"{name} must be a string that is not blank", value)
    return value.strip()


def fail(where: str, wanted: str, seen: Any) -> NoReturn:
    """Raise the ValueError that names the place, what is wanted there and what is seen."""
    raise ValueError(f"{where}: {wanted}, got {str(seen)[:60]!r}")
