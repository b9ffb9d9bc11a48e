"""Reads files of questions about texts with their answers; the format is detected from the content."""

import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from hf_ext.data.formats.registry import all_or_none
from hf_ext.data.places import locate
from hf_ext.data.text_lines import FileLine, JsonDocument, fail, is_json_lines, json_objects, read_lines
from hf_ext.tasks.base.task_files import TaskFiles

logger = logging.getLogger(__name__)

_Place = FileLine | str
_Entry = tuple[_Place, Mapping[str, Any]]


def read_questions(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read questions about texts, with their answers, from a file of SQuAD, CMRC2018 or WebQA, or from JSON lines.

    1. SQuAD 1.1 and 2.0, and CMRC2018 and DuReader-robust in that style: ``{"data": [{"paragraphs": [{"context", "qas":
       [{"id", "question", "answers": [{"text", "answer_start"}], "is_impossible"}]}]}]}``.
    2. CMRC2018 as first published: ``[{"context_text", "qas": [{"query_id", "query_text", "answers": [str]}]}]``.
    3. WebQA and SogouQA of bert4keras: ``[{"id", "question", "passages": [{"passage", "answer"}]}]``; each passage is a
       text of its own, with the id ``"<id>-<number of the passage>"``, and an empty answer none. Entries without a
       question are left out.
    4. JSON lines, or a JSON array, of ``{"id", "question", "context", "answers": [{"text", "start"}]}``; the place may
       be called ``answer_start``, ``answers`` may be ``{"text": [...], "answer_start": [...]}``, and without ``id`` the
       number of the entry, from 0, is it.

    A question with no answer among its ``answers`` is one that the text does not answer; a file of questions without
    ``answers`` is one to be predicted. An answer that does not stand at its place, or has none (-1, as all of
    DuReader-robust), is searched: the occurrence nearest to its place, or without one the first, rather not inside a
    word or number, in any case of letters. One that is not in the text can be scored against, but not learnt. Both are
    counted in a warning. Files are UTF-8; keys other than these are ignored.

    Returns:
        Dicts ``{"id", "question", "context", "answers"}``, answers ``{"text", "start"}`` without spaces at their ends
        and with their place in the context in code points, -1 if they are not there; without ``answers`` where no
        question of a file has them.

    Raises:
        ValueError: naming the file and the entry, if it is not in such a format, a value has the wrong type, a context
            or an answer is blank, two questions have the same id, or some questions have answers (an empty list will
            do) and others do not.
    """
    examples: list[dict[str, Any]] = []
    places: dict[str, _Place] = {}
    counts = {"all": 0, "moved": 0, "lost": 0}
    entries = _entries(os.fspath(path), read_lines(path))
    for where, entry in all_or_none(entries, "answers", "there must be an object with 'answers'"):
        # CMRC2018 has a question that is blank.
        if not isinstance(entry["question"], str):
            fail(where, "question must be a string", entry["question"])
        if not isinstance(entry["context"], str) or not entry["context"].strip():
            fail(where, "context must be a string that is not blank", entry["context"])
        if type(entry["id"]) not in (str, int):
            fail(where, "id must be a string or an integer", entry["id"])
        identifier = str(entry["id"])
        if identifier in places:
            fail(where, f"id must be unlike that of {places[identifier]}", identifier)
        places[identifier] = where
        example: dict[str, Any] = {"id": identifier, "question": entry["question"], "context": entry["context"]}
        if "answers" in entry:
            example["answers"] = [_placed(entry["context"], *one, counts) for one in _answers(entry, where)]
        examples.append(example)
    if counts["moved"] or counts["lost"]:
        message = "%s: of %d answers %d stand elsewhere than given, and %d are not in their text and only score"
        logger.warning(message, path, counts["all"], counts["moved"], counts["lost"])
    return examples


def _entries(name: str, lines: list[tuple[FileLine, str]]) -> Iterator[_Entry]:
    """Each question's place and its ``id``, ``question``, ``context`` and ``answers``."""
    if not lines:
        return
    document = None if is_json_lines(lines) else JsonDocument(lines).value
    if document is None or (isinstance(document, dict) and "data" not in document):
        for number, (where, record) in enumerate(json_objects(lines)):
            yield where, _own_entry(record, number, where)
    elif isinstance(document, dict):
        for number, article in enumerate(_list(document, "data", name)):
            yield from _article(article, f"{name}: data[{number}]")
    elif not isinstance(document, list):
        fail(name, "the file must be JSON of an object or a list, or JSON lines", document)
    else:
        for number, record in enumerate(document):
            place = f"{name}: [{number}]"
            if not isinstance(record, dict):
                fail(place, "there must be an object with a list 'qas'", record)
            if "passages" in record:
                yield from _passages(record, place)
            elif "paragraphs" in record:
                yield from _article(record, place)
            elif "qas" not in record and "context" in record:
                yield place, _own_entry(record, number, place)
            else:
                yield from _paragraph(record, place)


def _article(record: Any, where: str) -> Iterator[_Entry]:
    for number, paragraph in enumerate(_list(record, "paragraphs", where)):
        yield from _paragraph(paragraph, f"{where}.paragraphs[{number}]")


def _own_entry(record: Any, number: int, where: _Place) -> Mapping[str, Any]:
    return {"id": number, **_only(record, where, "question", "context", "answers", id="id")}


def _paragraph(record: Any, where: _Place) -> Iterator[_Entry]:
    context = "context_text" if isinstance(record, dict) and "context_text" in record else "context"
    for number, question in enumerate(_list(record, "qas", where)):
        place = f"{where}.qas[{number}]"
        prefix = "query_" if isinstance(question, dict) and "query_id" in question else ""
        text = f"{prefix}text" if prefix else "question"
        if isinstance(question, dict) and question.get("is_impossible"):
            question = {**question, "answers": []}
        entry = _only(question, place, question=text, answers="answers", id=f"{prefix}id")
        if "id" not in entry:
            fail(place, f"a question must have {prefix}id", question)
        yield place, {**entry, **_only(record, where, context=context)}


def _passages(record: Mapping[str, Any], where: _Place) -> Iterator[_Entry]:
    # The last entry of the published samples has passages alone.
    if "question" not in record:
        return
    for number, passage in enumerate(_list(record, "passages", where)):
        place = f"{where}.passages[{number}]"
        entry = _only(passage, place, context="passage", answers="answer")
        if not isinstance(entry.get("answers", ""), str):
            fail(place, "answer must be a string", entry["answers"])
        if "answers" in entry:
            entry["answers"] = [entry["answers"]] if entry["answers"].strip() else []
        identifier = f"{record.get('id', where)}-{number}"
        yield place, {**entry, "id": identifier, "question": record["question"]}


def _only(record: Any, where: _Place, *names: str, **renamed: str) -> dict[str, Any]:
    """The values of some keys, under the names wanted here; all but ``id`` and ``answers`` must be there."""
    keys = dict(zip(names, names)) | renamed
    if not isinstance(record, dict):
        fail(where, f"there must be an object with {', '.join(keys.values())}", record)
    for name, key in keys.items():
        if key not in record and name not in ("id", "answers"):
            fail(where, f"there must be an object with {key!r}", sorted(record))
    return {name: record[key] for name, key in keys.items() if key in record}


def _list(record: Any, key: str, where: _Place) -> list[Any]:
    if not isinstance(record, dict) or not isinstance(record.get(key), list):
        fail(where, f"there must be an object with a list {key!r}", record)
    return record[key]


def _answers(entry: Mapping[str, Any], where: _Place) -> Iterator[tuple[str, int | None]]:
    """The text and the place, None if none is given, of each answer, without spaces at its ends."""
    answers = entry["answers"]
    if isinstance(answers, dict) and isinstance(answers.get("text"), list):
        texts = answers["text"]
        starts = answers.get("answer_start", answers.get("start"))
        starts = [None] * len(texts) if starts is None else starts
        if not isinstance(starts, list) or len(starts) != len(texts):
            fail(where, f"the places of answers must be a list of {len(texts)}, one for each text", starts)
        answers = [{"text": text, "start": start} for text, start in zip(texts, starts)]
    if not isinstance(answers, list):
        fail(where, "answers must be a list", answers)
    for answer in answers:
        record = {"text": answer} if isinstance(answer, str) else answer
        if not isinstance(record, dict) or not isinstance(record.get("text"), str) or not record["text"].strip():
            fail(where, "an answer must be an object with a 'text' that is not blank", answer)
        start = record.get("start", record.get("answer_start"))
        if start is not None and type(start) is not int:
            fail(where, "the place of an answer must be an integer", start)
        text = record["text"].strip()
        yield text, start if start is None or start < 0 else start + record["text"].index(text)


def _placed(context: str, text: str, start: int | None, counts: dict[str, int]) -> dict[str, Any]:
    counts["all"] += 1
    found = -1 if start is None or start < 0 else _nearest(context, text, start)
    if found < 0:
        place = locate(context, text)
        found = -1 if place is None else place["start"]
    counts["lost"] += found < 0
    counts["moved"] += start is not None and start >= 0 and found not in (start, -1)
    return {"text": text, "start": found}


def _nearest(context: str, text: str, start: int) -> int:
    """The occurrence nearest to ``start``, -1 if there is none."""
    before, behind = context.rfind(text, 0, start + len(text)), context.find(text, start)
    places = [place for place in (before, behind) if place >= 0]
    return min(places, key=lambda place: abs(place - start), default=-1)


FILES = TaskFiles("reading-comprehension", read_questions)
