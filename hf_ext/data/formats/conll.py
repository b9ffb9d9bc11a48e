"""CoNLL files: a token and its tag a line, a blank line between sentences.

The token is the first column and the tag the last, whatever stands between them; a column that counts the tokens of
each sentence before them is left out. Columns are separated by tabs, else by spaces. Lines that begin with
``-DOCSTART-`` separate documents, and lines that begin with ``#`` are comments, unless they are rows as the others.
Tags are those of :mod:`hf_ext.data.tagged_tokens`.
"""

from collections.abc import Iterator

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Lines, Source
from hf_ext.data.tagged_tokens import TaggedToken, is_tag, tagged_texts, tagged_token
from hf_ext.data.text_lines import FileLine, fail

_DOCUMENT = "-DOCSTART-"
_Row = tuple[FileLine, list[str]]


def read_conll(source: Source) -> Iterator[Example]:
    """The sentences of a CoNLL file.

    Raises:
        TextFileError: if a line has not the columns of the first, a tag belongs to no scheme, or the tags mix schemes.
    """
    blocks = list(_blocks(source.lines))
    numbered = bool(blocks) and all(_is_numbered(block) for block in blocks)
    rows = [[_tagged(where, columns[numbered:]) for where, columns in block] for block in blocks]
    return tagged_texts(rows, source.path)


def _found(source: Source) -> bool:
    if source.is_folder or source.is_json:
        return False
    rows = [
        columns
        for _, line in source.filled[:50]
        if not line.startswith(("#", _DOCUMENT)) and (columns := _columns(line))
    ]
    return bool(rows) and all(1 < len(columns) == len(rows[0]) and is_tag(columns[-1]) for columns in rows)


def _blocks(lines: Lines) -> Iterator[list[_Row]]:
    """The rows of each sentence."""
    block: list[_Row] = []
    first: FileLine | None = None
    count = next(
        (
            len(_columns(line))
            for _, line in lines
            if line.strip() and line[0] not in "#\ufeff" and not line.startswith(_DOCUMENT)
        ),
        2,
    )
    for where, line in lines:
        # No other white space: an ideographic space can be a token.
        line = line.rstrip(" \t\r")
        if line and not line.startswith(_DOCUMENT):
            columns = _columns(line)
            if line[0] == "#" and (len(columns) != count or not is_tag(columns[-1])):
                continue
            if len(columns) < 2:
                wanted = (
                    f"a line must have two columns or more, token and tag (or be a JSON object), not {len(columns)}"
                )
                fail(where, wanted, line)
            first = first or where
            if len(columns) != count:
                fail(where, f"a line must have {count} columns as line {first.number}, not {len(columns)}", line)
            block.append((where, columns))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _columns(line: str) -> list[str]:
    """Token, other columns and tag; a token may be a space itself, and several spaces may align the columns."""
    line = line.rstrip(" \t\r")
    if "\t" in line:
        first, *rest = line.split("\t")
        token = first.rstrip(" ") or first[:1]
        return [token, *(column.strip(" ") for column in rest)] if token else rest
    columns = [column for column in line.split(" ") if column]
    return [" ", *columns] if line.startswith("  ") else columns


def _is_numbered(block: list[_Row]) -> bool:
    """Whether the first of three columns or more counts the tokens of a sentence."""
    numbers = [columns[0] for _, columns in block]
    counted = [str(number) for number in range(len(block) + 1)]
    return len(block[0][1]) > 2 and numbers in (counted[1:], counted[:-1])


def _tagged(where: FileLine, columns: list[str]) -> TaggedToken:
    return tagged_token(where, columns[0], columns[-1])


FORMAT = Format("conll", _found, {"entities": read_conll})
