"""A file or a folder of examples, as formats look at it: lines, JSON values, and where they stand."""

import os
from functools import cached_property
from typing import Any

from hf_ext.data.text_lines import FileLine, fail, json_records, looks_like_json, read_lines

Lines = list[tuple[FileLine, str]]


class Source:
    """What is at a path, read when it is first asked for.

    Args:
        path: of a file, or of a folder.

    Raises:
        TextFileError: by what is asked for, naming the file and the line that cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder; a folder has no lines."""
        return os.path.isdir(self.path)

    @cached_property
    def lines(self) -> Lines:
        """All lines, blank ones included, with carriage returns at their ends."""
        return [] if self.is_folder else read_lines(self.path, exact=True)

    @cached_property
    def filled(self) -> Lines:
        """Lines that are not blank, without their ends."""
        return [(where, line.removesuffix("\r")) for where, line in self.lines if line.strip()]

    @cached_property
    def is_json(self) -> bool:
        """Whether it is JSON rather than text."""
        return looks_like_json(self.filled)

    @cached_property
    def values(self) -> list[tuple[FileLine, Any]]:
        """The values of JSON lines, or the items of one array; none of a file of text."""
        return list(json_records(self.filled)) if self.is_json else []

    @cached_property
    def objects(self) -> list[tuple[FileLine, dict[str, Any]]]:
        """The values, which must be objects."""
        for where, value in self.values:
            if not isinstance(value, dict):
                fail(where, "the line must be a JSON object", value)
        return self.values

    @property
    def start(self) -> FileLine | str:
        """Its first line that is not blank, for errors about the whole."""
        return self.filled[0][0] if not self.is_folder and self.filled else self.path
