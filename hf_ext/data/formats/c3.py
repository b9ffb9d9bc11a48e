"""C3: one JSON array of passages with questions, each with its choices.

``[[["a paragraph", ...], [{"question": str, "choice": [str], "answer": str}], "id"], ...]``. The answer is the text of
a choice; questions of a test have a number ``id`` instead. Paragraphs are joined by ``||`` (kexue.fm/archives/8739).
"""

from collections.abc import Iterator
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, fail

_BETWEEN = "||"


def _found(source: Source) -> bool:
    return bool(source.values) and _is_passage(source.values[0][1])


def _is_passage(value: Any) -> bool:
    if not isinstance(value, list) or len(value) not in (2, 3):
        return False
    paragraphs, questions = value[:2]
    return (
        isinstance(paragraphs, list)
        and all(isinstance(one, str) for one in paragraphs)
        and isinstance(questions, list)
        and all(isinstance(one, dict) and "choice" in one for one in questions)
    )


def _read(source: Source) -> Iterator[Example]:
    for where, value in source.values:
        if not _is_passage(value):
            fail(where, "there must be a list of paragraphs and a list of questions with 'choice'", value)
        for question in value[1]:
            yield where, _question(_BETWEEN.join(value[0]), question, where)


def _question(text: str, record: dict[str, Any], where: FileLine) -> dict[str, Any]:
    example = {"text": text, "question": record.get("question"), "choices": record["choice"]}
    if "answer" in record:
        if not isinstance(record["choice"], list) or record["answer"] not in record["choice"]:
            fail(where, "answer must be one of the choices", record["answer"])
        # Of two that are equal the first.
        example["label"] = record["choice"].index(record["answer"])
    return example | ({"id": record["id"]} if "id" in record else {})


FORMAT = Format("c3", _found, {"choices": _read})
