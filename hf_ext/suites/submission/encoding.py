"""The lines of a submission's file, as far as it is UTF-8."""

import codecs
import re

from hf_ext.suites.submission.faults import Faults

Lines = list[tuple[int, str]]
"""The lines of a file, each after its number, from 1."""

_ESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\\u[0-9a-fA-F]{4}")
_OTHER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded_lines(data: bytes, faults: Faults) -> Lines | None:
    """The lines of a file, blank ones too; None if it has none that can be read. What is wrong with them is added.

    Args:
        data: the file.
        faults: of the file.
    """
    if data.startswith(_OTHER_MARKS):
        faults.add(1, "encoding", "the file must be UTF-8, got UTF-16")
        return None
    if data.startswith(codecs.BOM_UTF8):
        faults.add(1, "encoding", "the file must not begin with a byte order mark")
        data = data.removeprefix(codecs.BOM_UTF8)
    if not data:
        faults.add(None, "empty", "the file must have something in it, got nothing")
        return None
    lines: Lines = []
    endings, escapes = [], []
    for number, raw in enumerate(data.removesuffix(b"\n").split(b"\n"), start=1):
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            faults.add(number, "encoding", f"the file must be UTF-8, got {error.reason}")
            continue
        if line.endswith("\r"):
            endings.append(number)
        if _ESCAPED.search(line):
            escapes.append(number)
        lines.append((number, line.removesuffix("\r")))
    # Both are of a whole file, and said once.
    if endings:
        faults.warn(endings[0], "line end", f"lines must end with LF alone, got CRLF on {len(endings)} lines")
    if escapes:
        message = f"Chinese must be written as it is, got escapes such as \\u4e00 on {len(escapes)} lines"
        faults.warn(escapes[0], "escape", message)
    return lines
