"""IMCS-NER, of CBLUE: dialogues by their numbers, or in an array, whose sentences have a tag for each character.

``{"10000": {"dialogue": [{"sentence": "...", "BIO_label": "O O B-Symptom ..."}]}}``; each sentence is an example.
"""

from collections.abc import Iterator
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.tagged_tokens import TaggedToken, tagged_list, tagged_texts
from hf_ext.data.text_lines import FileLine, JsonDocument, fail

_TAGS = "BIO_label"


def _found(source: Source) -> bool:
    return any(_is_dialogue(value) for _, value in _members(source)[:1])


def _is_dialogue(value: Any) -> bool:
    dialogue = value.get("dialogue") if isinstance(value, dict) else None
    return isinstance(dialogue, list) and all(isinstance(one, dict) and "sentence" in one for one in dialogue)


def _members(source: Source) -> list[tuple[FileLine, Any]]:
    """The dialogues, of one object or of several."""
    if len(source.values) == 1 and isinstance(source.values[0][1], dict) and "dialogue" not in source.values[0][1]:
        if not all(map(_is_dialogue, source.values[0][1].values())):
            return []
        document = JsonDocument(source.filled)
        start = next(document.members())[1] if isinstance(document.value, list) else 0
        return [(document.where(at), value) for _, at, value in document.members(start)]
    return source.values


def _read(source: Source) -> Iterator[Example]:
    sentences: list[tuple[FileLine, str, list[TaggedToken] | None]] = []
    for where, record in _members(source):
        if not _is_dialogue(record):
            fail(where, "a dialogue must be an object with a list 'dialogue' of objects with 'sentence'", record)
        for turn in record["dialogue"]:
            sentence, tags = turn["sentence"], turn.get(_TAGS)
            if not isinstance(sentence, str) or not (tags is None or isinstance(tags, str)):
                fail(where, f"sentence and {_TAGS} must be strings", turn)
            tagged = None if tags is None else tagged_list(where, list(sentence), tags.split())
            sentences.append((where, sentence, tagged))
    read = tagged_texts([tagged for _, _, tagged in sentences if tagged], source.path, joined=False)
    for where, sentence, tagged in sentences:
        if tagged:
            yield next(read)
        elif sentence:
            yield where, {"text": sentence}
    # Says how many tags were invalid.
    assert next(read, None) is None


FORMAT = Format("imcs", _found, {"entities": _read})
