"""ChID: passages with blanks and ten idioms to fill them with, a line each.

As CLUE has it, ``{"candidates": [str], "content": ["...#idiom000123#...", ...]}``: each blank of each passage is a
question of its own, those of a line are answered together, and the right ones stand by their blanks in a file beside,
``train_answer.json`` beside ``train.json``; without it they are not known. As FewCLUE has it,
``{"candidates", "content": "...#idiom#...", "answer": index}``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_ext.data.formats.registry import Example, Format
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, fail

BLANK = re.compile(r"#idiom\d*#")
"""A blank in a passage."""


def _found(source: Source) -> bool:
    return bool(source.values) and _is_line(source.values[0][1])


def _is_line(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("candidates"), list):
        return False
    content = value.get("content")
    passages = [content] if isinstance(content, str) else content
    return isinstance(passages, list) and all(isinstance(one, str) and BLANK.search(one) for one in passages)


def _read(source: Source) -> Iterator[Example]:
    answers = _answers(source)
    seen: dict[str, FileLine] = {}
    for number, (where, record) in enumerate(source.objects):
        if not _is_line(record):
            fail(where, "there must be a list 'candidates', and 'content' with blanks as #idiom000123#", record)
        content = record["content"]
        if isinstance(content, str):
            yield where, _alone(content, record, where)
            continue
        for passage in content:
            for blank in BLANK.findall(passage):
                if blank in seen:
                    fail(where, f"a blank must be unlike those of {seen[blank]}", blank)
                seen[blank] = where
                example = {"text": passage, "blank": blank, "choices": record["candidates"], "group": number}
                if answers is not None:
                    if blank not in answers:
                        fail(where, f"a blank must be answered in {_answer_file(source)}", blank)
                    example["label"] = answers[blank]
                yield where, example


def _alone(passage: str, record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    """The question of a passage with one blank."""
    blanks = BLANK.findall(passage)
    if len(blanks) != 1:
        fail(where, "a passage that is no list must have one blank", blanks)
    example = {"text": passage, "blank": blanks[0], "choices": record["candidates"]}
    example |= {"label": record["answer"]} if "answer" in record else {}
    return example | ({"id": record["id"]} if "id" in record else {})


def _answer_file(source: Source) -> Path:
    path = Path(source.path)
    return path.with_name(f"{path.stem}_answer.json")


def _answers(source: Source) -> Mapping[str, Any] | None:
    """The right candidates by their blanks; None if there is no file of them."""
    path = _answer_file(source)
    if not path.is_file():
        return None
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        fail(str(path), f"the file must be JSON: {error}", path.name)
    if not isinstance(answers, dict):
        fail(str(path), "the file must be an object with the number of a candidate for each blank", answers)
    return answers


FORMAT = Format("chid", _found, {"choices": _read})
