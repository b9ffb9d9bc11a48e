"""LIC2020's official rows as examples of the jobs that train its tasks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hf_ext.data.text_lines import FileLine, JsonDocument, TextFileError, fail, json_objects, read_lines
from hf_ext.suites.scorers.duee import check_duee_row
from hf_ext.suites.scorers.duie import check_duie_row
from hf_ext.suites.suite import Row
from hf_ext.tasks.events.files import read_events
from hf_ext.tasks.reading_comprehension.files import read_questions
from hf_ext.tasks.relations.files import read_relations


def question_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """DuReader-robust: questions on texts; the answers of a test file are none, or blank."""
    for path in paths:
        blank = list(_unanswered(path))
        yield from blank or (Row(str(path), example["id"], dict(example)) for example in read_questions(path))


def _unanswered(path: Path) -> Iterator[Row]:
    """The questions of a file in which none has an answer with something in it; of others nothing."""
    data = JsonDocument(read_lines(path)).value
    try:
        asked = [
            (paragraph["context"], question)
            for article in data["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
        if any(answer["text"].strip() for _, question in asked for answer in question.get("answers") or ()):
            return
        for context, question in asked:
            example = {"id": question["id"], "question": question["question"], "context": context}
            yield Row(str(path), question["id"], example)
    except (AttributeError, KeyError, TypeError) as error:
        fail(str(path), "the file must have data, paragraphs and qas as SQuAD has them", error)


def relation_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """DuIE 2.0: texts with relations at their places, and all of their ``spo_list``, by which they are scored."""
    for path in paths:
        records = json_objects(read_lines(path))
        for number, (example, (where, record)) in enumerate(zip(read_relations(path), records)):
            scored: dict[str, Any] = {}
            if "relations" in example:
                _check_scored(check_duie_row(record), where)
                scored = {"spo_list": record["spo_list"]}
            yield Row(where, number, {**example, **scored})


def event_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """DuEE 1.0: texts with events, and all of their ``event_list``, by which they are scored."""
    for path in paths:
        records = json_objects(read_lines(path))
        for example, (where, record) in zip(read_events(path), records):
            if not isinstance(record.get("id"), str):
                fail(where, "a row must have an id, a string", record.get("id"))
            scored: dict[str, Any] = {}
            if "events" in example:
                if "events" in record:
                    fail(where, "events must be in 'event_list', as DuEE has them", record["events"])
                scored = {"event_list": record.get("event_list", [])}
                _check_scored(check_duee_row({**record, **scored}), where)
            yield Row(where, record["id"], {"id": record["id"], **example, **scored})


def _check_scored(fault: str | None, where: FileLine) -> None:
    """Raise the fault of a row that would stop its scorer, which else would come to light once training has ended."""
    if fault is not None:
        raise TextFileError(where, fault)
