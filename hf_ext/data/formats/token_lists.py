"""Tokens and tags in two lists, ``{"tokens": ["我"], "ner_tags": ["O"]}``; or in two columns, as PaddleNLP has MSRA.

The lists may be called ``tokens``, ``words``, ``chars`` or ``text``, and ``ner_tags``, ``tags``, ``labels`` or
``label``. Tags by their numbers, whose names are elsewhere, are refused. Of the columns, separated by a tab under the
header ``text_a<TAB>label``, each has its items separated by the character U+0002.
"""

from collections.abc import Iterator
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.tagged_tokens import TaggedToken, tagged_list, tagged_texts
from hf_ext.data.text_lines import FileLine, fail

_MARK = "\x02"
_TOKENS = ("tokens", "words", "chars", "text")
_TAGS = ("ner_tags", "tags", "labels", "label")


def _found(source: Source) -> bool:
    if source.is_folder or source.is_json:
        return any(_is_listed(value) for _, value in source.values)
    return any(_MARK in line and line.count("\t") == 1 for _, line in source.filled[:2])


def _is_listed(value: Any) -> bool:
    """Whether a record has two lists, the first of them strings."""
    if not isinstance(value, dict):
        return False
    tokens, tags = ([value[name] for name in names if isinstance(value.get(name), list)] for names in (_TOKENS, _TAGS))
    return bool(tokens and tags and tokens[0]) and all(isinstance(token, str) for token in tokens[0])


def _read(source: Source) -> Iterator[Example]:
    blocks = map(_listed, source.objects) if source.is_json else _columns(source)
    return tagged_texts([block for block in blocks if block], source.path)


def _listed(record: tuple[FileLine, dict[str, Any]]) -> list[TaggedToken]:
    where, value = record
    tokens, tags = (next((value[one] for one in names if one in value), None) for names in (_TOKENS, _TAGS))
    if not isinstance(tokens, list):
        fail(where, f"the line must be an object with a list {', '.join(_TOKENS)}", sorted(value))
    return tagged_list(where, tokens, tags)


def _columns(source: Source) -> Iterator[list[TaggedToken]]:
    header = _MARK not in source.filled[0][1]
    for where, line in source.filled[header:]:
        columns = line.split("\t")
        if len(columns) != 2:
            fail(where, f"a line must have 2 columns separated by a tab, tokens and tags, not {len(columns)}", line)
        tokens, tags = (column.split(_MARK) for column in columns)
        yield tagged_list(where, tokens, tags)


FORMAT = Format("token-lists", _found, {"entities": _read})
