"""Words with their tags, a sentence a line, as MSRA's bakeoff and People's Daily of 1998 have them: ``晚报/nt 记者/o``.

Words tagged ``nr``, ``ns``, ``nt`` and ``nz`` (or what begins so, as ``nrf``) are entities, and so is what brackets
hold: ``[中央/n 电台/n]nt``. In People's Daily family and given names are words of their own (``王/nr 某某/nr``): in
files that tag other words too, ``nr`` beside ``nr`` is one name. The number of a line (``19980101-01-001-001/m``) is
left out.
"""

import re
from collections.abc import Iterator
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, fail
from hf_ext.data.token_text import are_words, join_tokens

_WORD = re.compile(r"(\[?)(\S+)/([A-Za-z]{1,4}[1-9]?)(?:\]/?([A-Za-z]{1,4}))?")
_ENTITY = re.compile(r"n[rstz]\w*")
_NUMBER = re.compile(r"\d{8}-\d{2}-\d{3}-\d{3}/m\s*")
# Tags of files whose entities alone are tagged.
_BARE = {"o", "nr", "ns", "nt"}


def _found(source: Source) -> bool:
    if source.is_folder or source.is_json:
        return False
    return bool(source.filled) and all(map(_WORD.fullmatch, source.filled[0][1].split()))


def _read(source: Source) -> Iterator[Example]:
    sentences = [(where, _words(_NUMBER.sub("", line, 1), where)) for where, line in source.filled]
    full = not all(tag in _BARE for _, words in sentences for _, _, tag, _ in words)
    spaced = are_words(word for _, words in sentences for _, word, _, _ in words)
    for where, words in sentences:
        if words:
            yield where, _example(words, full, spaced, where)


def _words(line: str, where: FileLine) -> list[tuple[str, ...]]:
    """Bracket that opens, word, tag, and the tag of what closes, of each word."""
    words = []
    for part in line.split():
        match = _WORD.fullmatch(part)
        if match is None:
            fail(where, "a word must be followed by a slash and its tag", part)
        words.append(tuple(group or "" for group in match.groups()))
    return words


def _example(words: list[tuple[str, ...]], full: bool, spaced: bool, where: FileLine) -> dict[str, Any]:
    text, offsets = join_tokens([word for _, word, _, _ in words], spaced)
    entities: list[dict[str, Any]] = []
    opened: int | None = None
    before = ""
    for (opens, _, tag, outer), (start, end) in zip(words, offsets):
        if opens:
            if opened is not None:
                fail(where, "a bracket must be closed before the next", text[start:end])
            opened = start
        if _ENTITY.fullmatch(tag):
            if full and tag == before == "nr":
                entities[-1]["end"] = end
            else:
                entities.append({"start": start, "end": end, "label": tag})
        before = "" if outer else tag
        if outer:
            if opened is None:
                fail(where, "a bracket must be opened before it is closed", text[start:end])
            whole = {"start": opened, "end": end, "label": outer}
            if _ENTITY.fullmatch(outer) and whole not in entities:
                entities.append(whole)
            opened = None
    if opened is not None:
        fail(where, "a bracket must be closed", text[opened:])
    return {"text": text, "entities": entities}


FORMAT = Format("tagged-words", _found, {"entities": _read})
