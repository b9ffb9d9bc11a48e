"""CoNLL files: a token and its tag a line, a blank line between sentences.

The tagging scheme is detected from the tags of the whole file: BIO (and IOB1), BMES or BIOES. Prefix and label are
separated by ``-`` or ``_``. Where every token is a character followed by its position in its word (``口0``, Weibo
NER), the position is cut. Lines that begin with ``-DOCSTART-`` separate documents and are not read.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hf_ext.data.text_lines import FileLine, fail
from hf_ext.data.token_text import join_tokens
from hf_ext.tasks.entities.example import EntityExample

_TAG = re.compile(r"([BIMES])([-_])(.*\S.*)", re.DOTALL)
# A character, which broken encoding may have made into several, and a position; the character may be a digit itself.
_POSITIONED = re.compile(r"(.[^0-9]*)([0-9]+)", re.DOTALL)


class _Row(NamedTuple):
    where: FileLine
    token: str
    prefix: str = "O"
    separator: str = ""
    label: str = ""

    @property
    def tag(self) -> str:
        return self.prefix + self.separator + self.label


def read_conll(
    lines: Iterable[tuple[FileLine, str]], path: str
) -> tuple[list[EntityExample], list[tuple[FileLine, str]]]:
    """The sentences of a CoNLL file, with the rules of ``conlleval`` for tags that do not follow their scheme.

    Tokens are joined without a space, as Chinese is written, except for words of two letters or more in other scripts.

    Args:
        lines: each without its end, after its place.
        path: name of the file in examples.

    Returns:
        The sentences, and the invalid tag sequences as (place, description).

    Raises:
        TextFileError: if a line has not two columns, a tag belongs to no scheme, or the tags mix schemes.
    """
    blocks = list(_blocks(lines))
    closes = _closes_entities(row for block in blocks for row in block)
    examples: list[EntityExample] = []
    invalid: list[tuple[FileLine, str]] = []
    for block in _without_positions(blocks):
        text, offsets = join_tokens([row.token for row in block])
        chunks = list(_chunks(block))
        entities = [
            {"start": offsets[first][0], "end": offsets[last][1], "label": block[first].label} for first, last in chunks
        ]
        examples.append(EntityExample(text, entities, path, [block[first].where.number for first, _ in chunks]))
        invalid.extend(_invalid(block, closes))
    return examples, invalid


def _blocks(lines: Iterable[tuple[FileLine, str]]) -> Iterator[list[_Row]]:
    block: list[_Row] = []
    for where, line in lines:
        # No other white space: an ideographic space can be a token.
        line = line.rstrip(" \t\r")
        if line and not line.startswith("-DOCSTART-"):
            block.append(_row(where, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _row(where: FileLine, line: str) -> _Row:
    separator = "\t" if "\t" in line else " "
    token, _, tag = line.rpartition(separator)
    # Several spaces may align the columns, and a token may be a space itself.
    token = token.rstrip(" ") or token[:1]
    if not token or (separator in token and token != " "):
        columns = len(line.split(separator))
        fail(where, f"a line must have two columns, token and tag (or be a JSON object), not {columns}", line)
    if tag == "O":
        return _Row(where, token)
    match = _TAG.fullmatch(tag)
    if match is None:
        fail(where, "a tag must be O or a label after B-, I-, M-, E- or S-", tag)
    return _Row(where, token, *match.groups())


def _closes_entities(rows: Iterable[_Row]) -> bool:
    """Whether the scheme marks the last token of an entity, as BMES and BIOES do."""
    first: dict[str, FileLine] = {}
    for row in rows:
        first.setdefault(row.prefix, row.where)
        first.setdefault(row.separator, row.where)
    for pair in (("M", "I"), ("-", "_")):
        if all(mark in first for mark in pair):
            earlier, later = sorted(pair, key=first.__getitem__)
            wanted = f"the tags of a file must follow one scheme, that of {earlier!r} in line {first[earlier].number}"
            fail(first[later], wanted, later)
    return not first.keys().isdisjoint("MES")


def _without_positions(blocks: list[list[_Row]]) -> list[list[_Row]]:
    """Weibo's tokens without their positions; other files as they are."""
    cut = []
    for block in blocks:
        matches = [_POSITIONED.fullmatch(row.token) for row in block]
        if None in matches or (matches[0] and matches[0][2].strip("0")):
            return blocks
        cut.append([row._replace(token=match[1]) for row, match in zip(block, matches) if match])
    return cut


def _continues(before: _Row, row: _Row) -> bool:
    return before.prefix in "BIM" and row.prefix in "IME" and before.label == row.label


def _chunks(block: list[_Row]) -> Iterator[tuple[int, int]]:
    """First and last row of each entity."""
    start: int | None = None
    for index, row in enumerate(block):
        if start is not None and _continues(block[index - 1], row):
            continue
        if start is not None:
            yield start, index - 1
        start = None if row.prefix == "O" else index
    if start is not None:
        yield start, len(block) - 1


def _invalid(block: list[_Row], closes: bool) -> Iterator[tuple[FileLine, str]]:
    """Place and description of each tag that continues no entity, or ends one before its last token."""
    border = _Row(block[-1].where, "")
    for before, row in zip([border, *block], [*block, border]):
        wrong = row.prefix in "IME" or (closes and before.prefix in "BIM")
        if wrong and not _continues(before, row):
            yield row.where, f"{'the end' if row is border else row.tag} after {before.tag}"
