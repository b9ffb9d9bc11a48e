"""Lines of text files and of standard input, each with the place that an error about it names, and the JSON in them."""

import json
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import accumulate, chain, islice
from json import JSONDecodeError
from typing import Any, NamedTuple, NoReturn

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
# A text may begin with a brace or a bracket too ("[哈哈]", "{}"), but hardly with one that JSON continues after.
_JSON = re.compile(r'\s*(?:\[\s*)*(?:\{\s*(?:"|\}\s*(?:[,\]]|$))|\[\s*(?:"|\]\s*$|\Z))', re.MULTILINE)
# An escape of a JSON string. Half a surrogate pair is in the group.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Python reads no integer that is longer.
_HUGE_INTEGER = re.compile(r"[0-9]{4301}")


class FileLine(NamedTuple):
    """A line of a file, as errors name it: ``file:number``."""

    path: str
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


class TextFileError(ValueError):
    """A file that cannot be used: where, and what is wrong there."""

    def __init__(self, where: FileLine | str, message: str):
        super().__init__(where, message)
        self.where = where
        self.message = message

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def fail(where: FileLine | str, wanted: str, seen: Any) -> NoReturn:
    """Raise the error that names the place, what is wanted there and what is seen."""
    try:
        shown = str(seen)[:60]
    # A value may be nested as deep as JSON can be read.
    except RecursionError:
        shown = f"a {type(seen).__name__} nested too deeply to be shown"
    raise TextFileError(where, f"{wanted}, got {shown!r}")


def read_lines(path: str | os.PathLike[str], exact: bool = False) -> list[tuple[FileLine, str]]:
    """Lines of a file that are not blank, each after its place.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends. No other character ends a line, since
    texts hold U+2028 and its like.

    Args:
        path: the file.
        exact: give blank lines too, and carriage returns at the ends of lines.

    Raises:
        TextFileError: naming the file and the line, if the file is not UTF-8.
    """
    lines = utf8_lines(path), os.fspath(path)
    return list(_numbered(*lines) if exact else filled_lines(*lines))


def filled_lines(lines: Iterable[str], name: str) -> Iterator[tuple[FileLine, str]]:
    """Lines that are not blank, without their ends and a byte order mark, each after its place in the file ``name``."""
    return ((where, line.removesuffix("\r")) for where, line in _numbered(lines, name) if line.strip())


def utf8_lines(path: str | os.PathLike[str] | None) -> Iterator[str]:
    """Lines of a file with their ends, as they come; of standard input if ``path`` is None.

    Raises:
        TextFileError: naming the file and the line, if it is not UTF-8.
    """
    # Not the text layer of standard input, whose encoding is the locale's.
    with nullcontext(sys.stdin.buffer) if path is None else open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = FileLine(_name(path), number)
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise TextFileError(where, f"the file must be UTF-8, got {error.reason}") from error
            # ASCII in UTF-16 or UTF-32 is valid UTF-8, every other character of it NUL.
            if "\0" in text and len(text) > 4 and not (text[::2].strip("\0") and text[1::2].strip("\0")):
                fail(where, "the file must be UTF-8, not UTF-16", text)
            yield text


def read_texts(lines: Iterable[str], source: str, whole: bool = False) -> Iterator[str]:
    """Texts of a file: a line each, the ``text`` of each JSON line, or those of a JSON array; blank lines are left out.

    The format is detected from the content. JSON lines are objects with a ``text``; an array has such objects or
    strings.

    Args:
        lines: the file's lines, which are read as texts are asked for.
        source: its name, for errors.
        whole: take the file as one text.

    Raises:
        TextFileError: naming the line, if JSON cannot be read or has no text, or a text is not valid Unicode.
    """
    if whole:
        yield valid_unicode("".join(lines).removeprefix("\ufeff"), source)
        return
    filled = filled_lines(lines, source)
    head = list(islice(filled, 3))
    if not looks_like_json(head):
        for where, line in chain(head, filled):
            yield valid_unicode(line, where)
        return
    for where, record in json_records(chain(head, filled)):
        if not isinstance(record, str) and not (isinstance(record, dict) and "text" in record):
            fail(where, 'a JSON line must be an object with "text"', record)
        text = record if isinstance(record, str) else record["text"]
        if not isinstance(text, str):
            fail(where, "text must be a string", text)
        yield text


def texts_of(path: str | os.PathLike[str] | None, whole: bool = False) -> Iterator[str]:
    """Texts of a file, or of standard input if ``path`` is None; see :func:`read_texts`.

    Raises:
        ValueError: at the end, if there was none.
    """
    some = False
    for text in read_texts(utf8_lines(path), _name(path), whole):
        some = True
        yield text
    if not some:
        raise ValueError(f"{_name(path)} must have at least one text, got none")


def lone_texts(lines: Iterable[tuple[FileLine, str]]) -> Iterator[str]:
    """The text of each line, without spaces at its ends.

    Raises:
        TextFileError: naming the place, if a line has a tab, as one with a label or a second text has.
    """
    for where, line in lines:
        if "\t" in line:
            fail(where, "a line must be one text, without a tab", line)
        yield line.strip()


def text_value(value: Any, name: str, where: FileLine | str) -> str:
    """A text without spaces at its ends.

    Raises:
        TextFileError: naming the place, if it is not a string or blank.
    """
    if value is None:
        # It is null, or there is no such key.
        raise TextFileError(where, f"{name} must be a string that is not blank, got none")
    if not isinstance(value, str) or not value.strip():
        fail(where, f"{name} must be a string that is not blank", value)
    return value.strip()


def valid_unicode(text: str, where: FileLine | str) -> str:
    """A text that can be written as UTF-8.

    Raises:
        TextFileError: naming the place, if it has half a surrogate pair.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        seen = ascii(text[error.start])
        raise TextFileError(where, f"a text must be valid Unicode, got {seen} at character {error.start}") from None
    return text


def looks_like_json(lines: Sequence[tuple[FileLine, str]]) -> bool:
    """Whether a file is of JSON rather than of texts, by its first lines that are not blank."""
    return _JSON.match("\n".join(line for _, line in lines[:3])) is not None


def is_json_lines(lines: Sequence[tuple[FileLine, str]]) -> bool:
    """Whether each of the lines is a JSON value, rather than all of them together one."""
    if len(lines) < 2:
        return False
    try:
        json.loads(lines[0][1])
    except (ValueError, RecursionError):
        return False
    return True


def parse_json(
    line: str, where: FileLine | str, make_object: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """What a line of JSON says.

    Args:
        line: one JSON value.
        where: its place.
        make_object: makes an object of the pairs that it has in the line; None: a dict, of a key twice the last.

    Raises:
        TextFileError: naming the place, if it is not JSON, or a string in it is not valid Unicode.
    """
    try:
        value = json.loads(line, object_pairs_hook=make_object)
    # ValueError also for an integer of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise TextFileError(where, f"the line must be JSON, got {error}") from error
    half = _half_pair(line)
    if half is not None:
        fail(where, "a text must be valid Unicode, not half a surrogate pair", half[0])
    return value


def json_records(lines: Iterable[tuple[FileLine, str]]) -> Iterator[tuple[FileLine, Any]]:
    """The values of JSON lines, or the items of one JSON array, each after the line where it begins.

    JSON lines are read as they are asked for.

    Args:
        lines: those of the file that are not blank.

    Raises:
        TextFileError: naming the file and the line, if it is not JSON.
    """
    lines = iter(lines)
    head = list(islice(lines, 2))
    if is_json_lines(head):
        for where, line in chain(head, lines):
            yield where, parse_json(line, where)
    elif head:
        document = JsonDocument([*head, *lines])
        if isinstance(document.value, list):
            yield from ((document.where(at), item) for _, at, item in document.members())
        else:
            yield head[0][0], document.value


def json_objects(lines: Iterable[tuple[FileLine, str]]) -> Iterator[tuple[FileLine, dict[str, Any]]]:
    """As :func:`json_records`, each of which must be an object."""
    for where, record in json_records(lines):
        if not isinstance(record, dict):
            fail(where, "the line must be a JSON object", record)
        yield where, record


class JoinedLines:
    """Lines as one text whose characters know their line.

    Args:
        lines: one or more, without their ends.
    """

    def __init__(self, lines: Sequence[tuple[FileLine, str]]):
        self.text = "\n".join(line for _, line in lines)
        self._lines = [where for where, _ in lines]
        self._starts = list(accumulate((len(line) + 1 for _, line in lines[:-1]), initial=0))

    def where(self, at: int) -> FileLine:
        """The line that has the character ``at``."""
        return self._lines[bisect_right(self._starts, at) - 1]


class JsonDocument(JoinedLines):
    """A JSON value over any number of lines.

    Args:
        lines: all of the file that are not blank, at least one.

    Raises:
        TextFileError: naming the file and the line, if it is not JSON, or a string in it is not valid Unicode.
    """

    def __init__(self, lines: Sequence[tuple[FileLine, str]]):
        super().__init__(lines)
        try:
            self.value = json.loads(self.text)
        except (ValueError, RecursionError) as error:
            at = self._place_of(error)
            second = self._starts[1:2]
            # Where a line begins as the first one did, the first is JSON that was not closed.
            if [at] == second and self.text[at] == self.text.lstrip()[0]:
                at = 0
            raise TextFileError(self.where(at), f"the file must be JSON, got {getattr(error, 'msg', error)}") from error
        half = _half_pair(self.text)
        if half is not None:
            fail(self.where(half.start()), "a text must be valid Unicode, not half a surrogate pair", half[0])

    def members(self, at: int = 0) -> Iterator[tuple[str | None, int, Any]]:
        """Key (None in an array), offset and value of each member of the object or array that begins at ``at``."""
        at = self._skip_space(at)
        closing = {"{": "}", "[": "]"}[self.text[at]]
        at = self._skip_space(at + 1)
        while self.text[at] != closing:
            key = None
            if closing == "}":
                key, at = _DECODER.raw_decode(self.text, at)
                at = self._skip_space(self._skip_space(at) + len(":"))
            value, end = _DECODER.raw_decode(self.text, at)
            yield key, at, value
            at = self._skip_space(end)
            if self.text[at] == ",":
                at = self._skip_space(at + 1)

    def _skip_space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def _place_of(self, error: Exception) -> int:
        if isinstance(error, JSONDecodeError):
            # From Python 3.13 on at the comma, before at what is there instead of a value.
            return self._skip_space(error.pos + 1) if error.msg.startswith("Illegal trailing comma") else error.pos
        huge = None if isinstance(error, RecursionError) else _HUGE_INTEGER.search(self.text)
        if huge is not None:
            return huge.start()
        # Nested too deeply: the line that opens most.
        ends = [*self._starts[1:], len(self.text)]
        opened = [sum(self.text.count(mark, *line) for mark in "[{") for line in zip(self._starts, ends)]
        return self._starts[opened.index(max(opened))]


def _name(path: str | os.PathLike[str] | None) -> str:
    return "standard input" if path is None else os.fspath(path)


def _numbered(lines: Iterable[str], name: str) -> Iterator[tuple[FileLine, str]]:
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff") if number == 1 else line
        yield FileLine(name, number), text.removesuffix("\n")


def _half_pair(text: str) -> re.Match[str] | None:
    """The first escape of half a surrogate pair in JSON."""
    if not _SURROGATE_ESCAPE.search(text):
        return None
    return next((escape for escape in _ESCAPE.finditer(text) if escape[1]), None)
