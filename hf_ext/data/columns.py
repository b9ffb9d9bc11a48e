"""Files of columns: by tabs or ``||``, or by commas under a header; with the quotes of CSV writers."""

import re
from collections.abc import Iterator, Mapping, Sequence

from hf_ext.data.header import is_header
from hf_ext.data.text_lines import FileLine, JoinedLines, fail

_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"')
# Of a column in quotes; one more column is an error.
_LINE_END = re.compile(r",|\r?(?:\n|\Z)")
_OPENS = re.compile(r'(?:^|\t)"')
# How many lines a column in quotes may have, which is how far an error can be from what it names.
_MOST_LINES = 1000
_BARS = "||"
_ID = re.compile(r"([A-Za-z_.:-]*)(\d+)")

Lines = Sequence[tuple[FileLine, str]]
_Names = Mapping[int, tuple[str, ...]]


def column_records(
    lines: Lines, *names: tuple[str, ...], open_header: tuple[str, ...] = ()
) -> Iterator[tuple[FileLine, dict[str, str]]]:
    """Rows of columns as mappings, each after its place; the first line that is not blank says how they are separated.

    By commas if it is a header with commas; by ``||`` if it has that, and no tab; else by tabs. The names of the
    columns are those of a header, if the first line is one, else those of as many columns; all rows have as many as the
    first. Without a header, one column more before them is left out if it has ids: integers, or integers after the same
    letters, no two alike.

    Quotes of CSV writers are taken away, see :func:`split_columns`; what is in them may have line breaks.

    Args:
        lines: all of the file, blank ones included, with carriage returns at their ends.
        names: the names that a row without a header may have.
        open_header: a header of columns separated by commas whose last may have commas without quotes.

    Raises:
        TextFileError: naming the file and the line, if a row has another number of columns.
    """
    start = next((number for number, (_, line) in enumerate(lines) if line.strip()), None)
    if start is None:
        return
    where, line = lines[start][0], lines[start][1].removesuffix("\r")
    columns = [column.strip().casefold() for column in split_columns(line)]
    commas = [_without_quotes(column.strip()).casefold() for column in line.split(",")]
    header = next((one for one in (columns, commas) if is_header(one)), None)
    if header is not None and len({*header}) < len(header):
        fail(where, "a header must name each column once", ", ".join(header))
    if header is commas:
        yield from comma_records(lines[start + 1 :], tuple(commas), tuple(commas) == open_header)
    elif header is columns:
        for where, row in _tab_rows(lines[start + 1 :], {len(columns): tuple(columns)}):
            yield where, dict(zip(columns, row))
    else:
        choices = {len(choice): choice for choice in names}
        rows = _bar_rows(lines, choices) if _has_bars(lines, choices) else _tab_rows(lines, choices, with_ids=True)
        yield from _named(list(rows), choices)


def _named(rows: list[tuple[FileLine, list[str]]], choices: _Names) -> Iterator[tuple[FileLine, dict[str, str]]]:
    """Rows without a header as mappings, without their ids."""
    count = len(rows[0][1])
    has_ids = count - 1 in choices and (count not in choices or _are_ids([row[0] for _, row in rows]))
    if has_ids and not _are_ids([row[0] for _, row in rows]):
        fail(rows[0][0], f"{_wanted(choices, 'tabs')}, or an id before them, not {count}", " ".join(rows[0][1]))
    for where, row in rows:
        yield where, dict(zip(choices[count - has_ids], row[has_ids:]))


def _are_ids(columns: Sequence[str]) -> bool:
    matches = [_ID.fullmatch(column.strip()) for column in columns]
    return (
        len({*columns}) == len(columns) and None not in matches and len({match and match[1] for match in matches}) == 1
    )


def _has_bars(lines: Lines, choices: _Names) -> bool:
    filled = [line for _, line in lines if line.strip()]
    if _BARS not in filled[0] or "\t" in filled[0]:
        return False
    # Where a row may be a text alone, only what all have parts it.
    return 1 not in choices or len({line.count(_BARS) for line in filled}) == 1


def _bar_rows(lines: Lines, choices: _Names) -> Iterator[tuple[FileLine, list[str]]]:
    for where, line in lines:
        if line.strip():
            columns = line.strip().split(_BARS)
            choices = _checked(columns, choices, where, line, repr(_BARS), with_ids=True)
            yield where, columns


def _tab_rows(lines: Lines, choices: _Names, with_ids: bool = False) -> Iterator[tuple[FileLine, list[str]]]:
    at = 0
    while at < len(lines):
        where, line = lines[at][0], lines[at][1].removesuffix("\r")
        at += 1
        if not line.strip():
            continue
        columns = split_columns(line, across=True)
        if not _fits(columns, choices, with_ids):
            columns = split_columns(line)
        if line.count('"') % 2 and _OPENS.search(line):
            columns, used = _over_lines(lines[at - 1 : at - 1 + _MOST_LINES], columns, choices, with_ids)
            at += used
        choices = _checked(columns, choices, where, line, "tabs", with_ids)
        with_ids = False
        yield where, columns


def _over_lines(lines: Lines, alone: list[str], choices: _Names, with_ids: bool) -> tuple[list[str], int]:
    """The columns of a row that may go on in the lines behind its first, and how many of these it takes.

    A text may have a quote of its own. So lines that are rows by themselves are rows, except the last one where the
    first is none.

    Args:
        lines: from the first of the row.
        alone: the columns of the first line.
        choices: names by the number of columns.
        with_ids: whether a row may have an id too.
    """
    complete = _fits(alone, choices, with_ids)
    text = lines[0][1]
    for used, (_, line) in enumerate(lines[1:], start=1):
        text += f"\n{line}"
        is_row = _fits(split_columns(line), choices, with_ids)
        parts = _parts(text.removesuffix("\r"), across=True)
        inside = all(inner is not None or "\n" not in column for column, inner in parts)
        if inside and _fits(parts, choices, with_ids) and not (complete and is_row):
            return _plain(parts), used
        if is_row:
            break
    return alone, 0


def _fits(columns: Sequence[object], choices: _Names, with_ids: bool) -> bool:
    return len(columns) in choices or (with_ids and len(columns) - 1 in choices)


def _checked(
    columns: list[str], choices: _Names, where: FileLine, line: str, separator: str, with_ids: bool = False
) -> _Names:
    """The only names that the next row may have: as many as the columns of this one."""
    count = len(columns)
    if not _fits(columns, choices, with_ids):
        fail(where, f"{_wanted(choices, separator)}, not {count}", line)
    return {count: choices.get(count) or ("id", *choices[count - 1])}


def _wanted(choices: _Names, separator: str) -> str:
    wanted = " or ".join(f"{count} ({', '.join(choice)})" for count, choice in choices.items())
    return f"a line must have {wanted} columns separated by {separator}"


def split_columns(line: str, across: bool = False) -> list[str]:
    """Columns separated by tabs, without the quotes that a CSV writer puts around them.

    Published files have quotes of their own as well. A writer puts quotes around a column that has quotes, and doubles
    those, or around every column.

    Args:
        line: the row.
        across: read a tab between the quotes of a column as part of it, too.
    """
    return _plain(_parts(line, across))


def _parts(line: str, across: bool) -> list[tuple[str, str | None]]:
    """Each column, and what is in its quotes, if it has them."""
    columns: list[tuple[str, str | None]] = []
    at = 0
    while at <= len(line):
        quoted = _QUOTED.match(line, at)
        end = quoted.end() if quoted else -1
        if quoted is None or line[end : end + 1] not in ("\t", "") or ("\t" in quoted[1] and not across):
            quoted, end = None, line.find("\t", at)
            end = len(line) if end < 0 else end
        columns.append((line[at:end], quoted and quoted[1]))
        at = end + 1
    return columns


def _plain(columns: list[tuple[str, str | None]]) -> list[str]:
    """Columns without the quotes that a writer put."""
    every = len(columns) > 1 and all(inner is not None for _, inner in columns)
    return [
        inner.replace('""', '"')
        if inner is not None and (every or any(mark in inner for mark in ('""', "\t", "\n", "\r")))
        else column
        for column, inner in columns
    ]


def comma_records(
    lines: Lines, names: tuple[str, ...], open_end: bool = False
) -> Iterator[tuple[FileLine, dict[str, str]]]:
    """Rows of columns separated by commas as mappings, each after its place.

    A column in quotes, as CSV writers put them, may have commas, doubled quotes and line breaks.

    Args:
        lines: all of the file after its header, blank ones included, with their carriage returns.
        names: of the columns, two or more.
        open_end: whether the last may have commas without quotes too.

    Raises:
        TextFileError: naming the file and the line, if a row has another number of columns.
    """
    if not lines:
        return
    content = JoinedLines(lines)
    at = 0
    while at < len(content.text):
        end = content.text.find("\n", at)
        end = len(content.text) if end < 0 else end
        line = content.text[at:end]
        if line.strip():
            where = content.where(at)
            row: list[str] = []
            for name in names:
                if row and content.text[at : at + 1] != ",":
                    _fail_count(where, names, len(row), line)
                last = name == names[-1]
                # A row may have begun in another line.
                end = content.text.find("\n", at)
                end = len(content.text) if end < 0 else end
                column, at = _comma_column(content.text, at + bool(row), end, last, last and open_end)
                row.append(column)
            if content.text[at : at + 1] == ",":
                _fail_count(where, names, len(row) + 1, line)
            yield where, dict(zip(names, row))
            end = at
        at = end + 1


def _fail_count(where: FileLine, names: tuple[str, ...], seen: int, line: str) -> None:
    wanted = f"{len(names)} columns ({', '.join(names)}) separated by commas, or in quotes"
    fail(where, f"a line must have {wanted}, not {'more' if seen > len(names) else seen}", line)


def _comma_column(text: str, at: int, end: int, last: bool, open_end: bool) -> tuple[str, int]:
    """The column at a place of a text, and where it ends; one without quotes lies before ``end``."""
    quoted = _QUOTED.match(text, at)
    if quoted and (_LINE_END.match(text, quoted.end()) if last else text.startswith(",", quoted.end())):
        return quoted[1].replace('""', '"'), quoted.end()
    comma = -1 if open_end else text.find(",", at, end)
    stop = end if comma < 0 else comma
    return text[at:stop], stop


def _without_quotes(column: str) -> str:
    quoted = _QUOTED.fullmatch(column)
    return quoted[1].replace('""', '"') if quoted else column
