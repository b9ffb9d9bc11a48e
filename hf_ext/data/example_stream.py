"""Examples of files and data sets that are read as they are asked for, in the same order each time."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from hf_ext.data.dataset_file import is_saved, is_table, open_rows, renamed_rows
from hf_ext.data.text_lines import (
    FileLine,
    fail,
    filled_lines,
    is_json_lines,
    json_records,
    looks_like_json,
    parse_json,
    utf8_lines,
    valid_unicode,
)

Example = Mapping[str, Any]
Check = Callable[[Example, FileLine | str], Example]


class _Part(Protocol):
    """A file, or a split of a data set."""

    def read(self, first: int) -> Iterator[tuple[FileLine | str, Example]]:
        """The examples from number ``first`` on, each after its place."""

    def count(self) -> int:
        """The number of examples."""


@dataclass(frozen=True)
class ExampleStream:
    """Examples that are never all in memory; each `read` begins anew and gives them in the same order.

    Attributes:
        parts: where they come from.
        check: makes an example of a record and its place, or raises ValueError; None: the record is the example.
        first: how many are left out at the beginning.
        most: how many there may be; None: all.
    """

    parts: tuple[_Part, ...]
    check: Check | None = None
    first: int = 0
    most: int | None = None

    @classmethod
    def of_files(
        cls, path: str | os.PathLike[str], check: Check | None = None, columns: Mapping[str, str] | None = None
    ) -> "ExampleStream":
        """The examples of a file, or of all files of a folder and its folders, by the names of the files.

        A file has a text a line, which is ``{"text": line}``, JSON lines, a JSON array, or a table of Parquet or Arrow;
        its content says which. Strings of JSON are texts too.

        Args:
            path: the file or folder.
            check: as the attribute.
            columns: of tables, from the names that examples have to those of the columns.

        Raises:
            ValueError: if there is no such file, a folder has none, or columns are named for files without any.
        """
        root = Path(path)
        if not root.exists():
            raise ValueError(f"a file or folder of texts must be there, got {path}")
        files = [root] if root.is_file() else sorted(one for one in root.rglob("*") if _is_visible(one, root))
        if not files:
            raise ValueError(f"a folder of texts must have files, got none in {path}")
        parts = [_Table(str(one), columns=dict(columns or {})) if is_table(one) else _TextFile(one) for one in files]
        if columns and not any(isinstance(one, _Table) for one in parts):
            raise ValueError(f"columns go with files of Parquet or Arrow, got {dict(columns)} with {path}")
        return cls(tuple(parts), check)

    @classmethod
    def of_dataset(
        cls,
        source: str | os.PathLike[str],
        split: str = "train",
        config: str | None = None,
        columns: Mapping[str, str] | None = None,
        streaming: bool = True,
        check: Check | None = None,
    ) -> "ExampleStream":
        """The rows of a split of a data set: a name on the Hub, or a folder with one.

        Args:
            source: as `hf_ext.data.dataset_file` takes it.
            split: the same.
            config: the same.
            columns: the same.
            streaming: read rows as they come; else all files are loaded before the first is read. What
                ``save_to_disk`` wrote is neither.
            check: as the attribute.
        """
        return cls((_Table(str(source), split, config, dict(columns or {}), streaming),), check)

    def read(self, first: int = 0) -> Iterator[Example]:
        """The examples from number ``first`` on; those before are passed over without being parsed where that can be.

        Raises:
            ValueError: naming the place, if one cannot be read.
        """
        most = None if self.most is None else max(0, self.most - first)
        for where, record in islice(self._records(self.first + first), most):
            yield record if self.check is None else self.check(record, where)

    def __iter__(self) -> Iterator[Example]:
        return self.read()

    def part(self, first: int = 0, most: int | None = None) -> "ExampleStream":
        """A part of them: ``most`` from number ``first`` on."""
        left = None if self.most is None else max(0, self.most - first)
        limits = [one for one in (left, most) if one is not None]
        return replace(self, first=self.first + first, most=min(limits, default=None))

    def _records(self, first: int) -> Iterator[tuple[FileLine | str, Example]]:
        for part in self.parts:
            # The last one need not be counted, which of a data set would mean to read it.
            if first and part is not self.parts[-1] and first >= part.count():
                first -= part.count()
                continue
            yield from part.read(first)
            first = 0


@dataclass
class _TextFile:
    path: Path
    _count: int | None = field(default=None, repr=False, compare=False)

    def read(self, first: int) -> Iterator[tuple[FileLine | str, Example]]:
        head = list(islice(self._lines(), 3))
        if not looks_like_json(head):
            for where, line in islice(self._lines(), first, None):
                yield where, {"text": valid_unicode(line, where)}
            return
        records: Iterator[tuple[FileLine, Any]]
        if is_json_lines(head):
            records = ((where, parse_json(line, where)) for where, line in islice(self._lines(), first, None))
        else:
            records = islice(json_records(self._lines()), first, None)
        for where, record in records:
            if not isinstance(record, dict | str):
                fail(where, "an example must be a JSON object or a string", record)
            yield where, {"text": record} if isinstance(record, str) else record

    def count(self) -> int:
        if self._count is None:
            head = list(islice(self._lines(), 3))
            by_line = not looks_like_json(head) or is_json_lines(head)
            self._count = sum(1 for _ in (self._lines() if by_line else json_records(self._lines())))
        return self._count

    def _lines(self) -> Iterator[tuple[FileLine, str]]:
        return filled_lines(utf8_lines(self.path), str(self.path))


@dataclass
class _Table:
    source: str
    split: str = "train"
    config: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    streaming: bool = True

    def read(self, first: int) -> Iterator[tuple[FileLine | str, Example]]:
        rows: Any = self._rows()
        for number, row in enumerate(renamed_rows(rows.skip(first), self.source, self.columns), start=first + 1):
            yield f"{self.source}, row {number}", row

    def count(self) -> int:
        rows: Any = self._rows()
        return sum(1 for _ in rows) if self.streaming else len(rows)

    def _rows(self) -> Any:
        streaming = self.streaming and not is_saved(self.source)
        return open_rows(self.source, self.split, self.config, self.columns, streaming)


def _is_visible(path: Path, root: Path) -> bool:
    return path.is_file() and not any(name.startswith(".") for name in path.relative_to(root).parts)
