"""All lines of official files that cannot be read, where a reader stops at the first."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hf_ext.data.text_lines import FileLine, TextFileError, parse_json
from hf_ext.suites.suite import Row

SHOWN = 5
"""Lines that are named."""


@dataclass
class ReadFiles:
    """What could be read of files.

    Attributes:
        rows: of all lines but those that are faulty; none if it is not lines that are.
        faults: what is wrong, with file and line: of no more than `SHOWN` lines.
        number: of faulty lines that were found.
        of: lines that there are; 0 if it is not lines that are faulty.
        all_found: whether there are no faulty lines beside these.
    """

    rows: list[Row]
    faults: list[str] = field(default_factory=list)
    number: int = 0
    of: int = 0
    all_found: bool = True


def read_around_faults(read: Callable[[Sequence[Path]], list[Row]], paths: Sequence[Path]) -> ReadFiles:
    """The rows of files, and what is wrong with the lines that cannot be read.

    A reader stops at the first line that it refuses. In a copy of the files lines that are no JSON, and then those that
    the reader refuses, one after the other, are left blank, which moves no other. A file that is one JSON value over
    several lines has no lines to leave out.

    Args:
        read: gives the rows of the files; raises ValueError that begins with ``file:line:`` if it refuses a line.
        paths: of the files.
    """
    try:
        return ReadFiles(read(paths))
    except ValueError as error:
        first = _in_one_line(error)
    with TemporaryDirectory() as folder:
        copies = [Path(folder) / str(number) / path.name for number, path in enumerate(paths)]
        if len({path.parent for path in paths}) == 1:
            # Files that belong together may be looked for beside each other.
            copies = [Path(folder) / path.name for path in paths]
        files = [_Lines(path, copy) for path, copy in zip(paths, copies)]
        if not any(file.are_values and first.startswith(f"{file.path}:") for file in files):
            return ReadFiles([], [first])
        return _read_copies(read, files)


class _Lines:
    """The lines of a file, and a copy in which some are left blank."""

    def __init__(self, path: Path, copy: Path) -> None:
        self.path, self.copy = path, copy
        self.lines = path.read_bytes().split(b"\n")
        filled = [line for line in self.lines if line.strip()]
        # What stands on several lines has few that are objects by themselves.
        self.are_values = len(filled) > 1 and 2 * sum(map(_is_object, filled)) >= len(filled)
        self.number = len(filled)
        copy.parent.mkdir(exist_ok=True)

    def leave_out(self, number: int) -> None:
        self.lines[number - 1] = b""

    def write(self) -> None:
        self.copy.write_bytes(b"\n".join(self.lines))

    def no_json(self) -> list[tuple[int, str]]:
        """Lines that are no JSON, each with what is wrong with it."""
        found = []
        for number, line in enumerate(self.lines, start=1):
            where = FileLine(str(self.path), number)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    parse_json(text, where)
            except UnicodeDecodeError as error:
                found.append((number, f"{where}: the file must be UTF-8, got {error.reason}"))
            except TextFileError as error:
                found.append((number, _in_one_line(error)))
        return found


def _read_copies(read: Callable[[Sequence[Path]], list[Row]], files: Sequence[_Lines]) -> ReadFiles:
    faults = {(file.path, number): fault for file in files if file.are_values for number, fault in file.no_json()}
    for file in files:
        for path, number in faults:
            if path == file.path:
                file.leave_out(number)
        file.write()
    rows, all_found, left = [], False, SHOWN
    while not all_found:
        try:
            rows, all_found = read([file.copy for file in files]), True
        except ValueError as error:
            message = _in_one_line(error)
            place = next((pair for file in files if (pair := _place(file, message))), None)
            for file in files:
                message = message.replace(str(file.copy), str(file.path))
            if place is None:
                # Not of a line, or of several.
                return ReadFiles([], [*_first(faults), message])
            if not left:
                break
            left -= 1
            refused, number = place
            faults[refused.path, number] = message
            refused.leave_out(number)
            refused.write()
    there = sum(file.number for file in files if file.are_values)
    return ReadFiles(rows, _first(faults), len(faults), there, all_found)


def _first(faults: Mapping[tuple[Path, int], str]) -> list[str]:
    return [faults[place] for place in sorted(faults)[:SHOWN]]


def _place(file: _Lines, message: str) -> tuple[_Lines, int] | None:
    """The line of a copy that an error is about."""
    match = re.match(rf"{re.escape(str(file.copy))}:(\d+): ", message)
    return (file, int(match[1])) if match and file.are_values else None


def _is_object(line: bytes) -> bool:
    line = line.strip()
    return line.startswith(b"{") and line.endswith(b"}") and b":" in line


def _in_one_line(error: ValueError) -> str:
    return " ".join(str(error).split())
