"""Tagged tokens to texts with entities, by the rules of ``conlleval``.

The tagging scheme is detected from the tags of the whole file: BIO (and IOB1), BMES, BIOES or BILUO, whose L and U are
E and S of BIOES. Prefix and label are separated by ``-`` or ``_``; tags that are a prefix alone mark entities of one
kind, `ONLY_LABEL`.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from hf_ext.data.text_lines import FileLine, fail
from hf_ext.data.token_text import are_words, join_tokens

logger = logging.getLogger(__name__)

ONLY_LABEL = "entity"
"""The label of entities whose tags have none."""
_TAG = re.compile(r"([BIMESLU])(?:([-_])(.*\S.*))?", re.DOTALL)
_BILUO = {"L": "E", "U": "S"}
# A character, which broken encoding may have made into several, and a position; the character may be a digit itself.
_POSITIONED = re.compile(r"(.[^0-9]*)([0-9]+)", re.DOTALL)


class TaggedToken(NamedTuple):
    """A token with what its tag says."""

    where: FileLine
    token: str
    prefix: str = "O"
    separator: str = ""
    label: str = ""

    @property
    def tag(self) -> str:
        """The tag, in BIOES where it was in BILUO."""
        return self.prefix if self.prefix == "O" or not self.separator else self.prefix + self.separator + self.label


def is_tag(text: str) -> bool:
    """Whether a text can be a tag."""
    return text == "O" or _TAG.fullmatch(text) is not None


def tagged_token(where: FileLine, token: str, tag: str) -> TaggedToken:
    """A token with its tag.

    Raises:
        TextFileError: naming the place, if it is no tag.
    """
    if tag == "O":
        return TaggedToken(where, token)
    match = _TAG.fullmatch(tag)
    if match is None:
        fail(where, "a tag must be O or a label after B-, I-, M-, E- or S-, or L- and U- of BILUO", tag)
    prefix, separator, label = match.groups()
    return TaggedToken(where, token, _BILUO.get(prefix, prefix), separator or "", label or ONLY_LABEL)


def tagged_list(where: FileLine, tokens: Sequence[Any], tags: Any) -> list[TaggedToken]:
    """Tokens with their tags from two lists.

    Raises:
        TextFileError: naming the place, if they are not strings, or not as many.
    """
    if not isinstance(tags, list) or len(tags) != len(tokens):
        seen = f"{len(tokens)} and {len(tags) if isinstance(tags, list) else tags}"
        fail(where, "there must be as many tags as tokens", seen)
    for token, tag in zip(tokens, tags):
        if not isinstance(token, str) or not token:
            fail(where, "a token must be a string that is not empty", token)
        if not isinstance(tag, str):
            fail(where, "a tag must be a name such as B-PER, not its number", tag)
    return [tagged_token(where, token, tag) for token, tag in zip(tokens, tags)]


def tagged_texts(
    blocks: Sequence[Sequence[TaggedToken]], path: str, joined: bool = True
) -> Iterator[tuple[FileLine, dict[str, Any]]]:
    """``{"text", "entities"}`` of each sentence, after its place; an entity's own place is its ``where``.

    Invalid tag sequences are read as ``conlleval`` reads them, and their number is logged.

    Args:
        blocks: sentences of one token or more.
        path: the file, for what is logged.
        joined: put spaces between tokens where the language has them, and cut the positions off Weibo's tokens, each a
            character followed by its position in its word; else the text is the tokens as they are.

    Raises:
        TextFileError: naming the line, if the tags mix schemes.
    """
    closes = _closes_entities(row for block in blocks for row in block)
    sentences = _without_positions(blocks) if joined else blocks
    spaced = joined and are_words(row.token for block in sentences for row in block)
    invalid: list[tuple[FileLine, str]] = []
    for block in sentences:
        tokens = [row.token for row in block]
        text, offsets = join_tokens(tokens, spaced) if joined else _side_by_side(tokens)
        entities = [
            {
                "start": offsets[first][0],
                "end": offsets[last][1],
                "label": block[first].label,
                "where": block[first].where,
            }
            for first, last in _chunks(block)
        ]
        yield block[0].where, {"text": text, "entities": entities}
        invalid.extend(_invalid(block, closes))
    if invalid:
        where, what = invalid[0]
        message = "%s: %d invalid tag sequences, the first in line %d (%s); read as conlleval reads them"
        logger.warning(message, path, len(invalid), where.number, what)


def _side_by_side(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    ends = [0]
    for token in tokens:
        ends.append(ends[-1] + len(token))
    return "".join(tokens), list(pairwise(ends))


def _closes_entities(rows: Iterable[TaggedToken]) -> bool:
    """Whether the scheme marks the last token of an entity, as BMES and BIOES do."""
    first: dict[str, FileLine] = {}
    for row in rows:
        first.setdefault(row.prefix, row.where)
        if row.prefix != "O":
            first.setdefault(row.separator or "a tag without label", row.where)
    for pair in (("M", "I"), ("-", "_"), ("-", "a tag without label"), ("_", "a tag without label")):
        if all(mark in first for mark in pair):
            earlier, later = sorted(pair, key=first.__getitem__)
            wanted = f"the tags of a file must follow one scheme, that of {earlier!r} in line {first[earlier].number}"
            fail(first[later], wanted, later)
    return not first.keys().isdisjoint("MES")


def _without_positions(blocks: Sequence[Sequence[TaggedToken]]) -> Sequence[Sequence[TaggedToken]]:
    """Weibo's tokens without their positions; other files as they are."""
    cut = []
    for block in blocks:
        matches = [_POSITIONED.fullmatch(row.token) for row in block]
        if None in matches or (matches[0] and matches[0][2].strip("0")):
            return blocks
        cut.append([row._replace(token=match[1]) for row, match in zip(block, matches) if match])
    return cut


def _continues(before: TaggedToken, row: TaggedToken) -> bool:
    return before.prefix in "BIM" and row.prefix in "IME" and before.label == row.label


def _chunks(block: Sequence[TaggedToken]) -> Iterator[tuple[int, int]]:
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


def _invalid(block: Sequence[TaggedToken], closes: bool) -> Iterator[tuple[FileLine, str]]:
    """Place and description of each tag that continues no entity, or ends one before its last token."""
    border = TaggedToken(block[-1].where, "")
    for before, row in zip([border, *block], [*block, border]):
        wrong = row.prefix in "IME" or (closes and before.prefix in "BIM")
        if wrong and not _continues(before, row):
            yield row.where, f"{'the end' if row is border else row.tag} after {before.tag}"
