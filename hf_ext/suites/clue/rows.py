"""CLUE's official rows as examples of the jobs that train its tasks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_ext.data.text_lines import FileLine, JsonDocument, fail, json_objects, read_lines
from hf_ext.suites.files import json_rows, text_field, with_label
from hf_ext.suites.scorers.cluener import TYPES
from hf_ext.suites.suite import Row
from hf_ext.tasks.entities.files import read_entities
from hf_ext.tasks.multiple_choice.files import read_choices
from hf_ext.tasks.reading_comprehension.files import read_questions

_FAKE = "FAKE_ANSWER"


def _sentence(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    return with_label({"text": text_field(record, where, "sentence")}, record)


def _sentence_with_keywords(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    words = text_field(record, where, "keywords")
    example = _sentence(record, where)
    return {**example, "text": f"{example['text']} {words}"} if words else example


def _pair(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    first = text_field(record, where, "sentence1", "premise")
    second = text_field(record, where, "sentence2", "hypothesis")
    return with_label({"text": first, "text2": second}, record)


def _keywords_and_abstract(joined_by: str, record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    words = record.get("keyword")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        fail(where, "keyword must be a list of texts", words)
    return with_label({"text": joined_by.join(words), "text2": text_field(record, where, "abst")}, record)


def marked_text(record: Mapping[str, Any], where: FileLine | str) -> str:
    """CLUEWSC's text with its noun in strokes and its pronoun in brackets: ``_老王_把钥匙交给小李，[他]就走了。``.

    Raises:
        TextFileError: naming the place, if a span is not where it is said to be, or both overlap.
    """
    text, target = text_field(record, where, "text"), record.get("target")
    if not isinstance(target, dict):
        fail(where, "a row must have a target", sorted(record))
    spans = []
    for name, marks in (("span1", "__"), ("span2", "[]")):
        words, start = target.get(f"{name}_text"), target.get(f"{name}_index")
        if not isinstance(words, str) or type(start) is not int or start < 0:
            fail(where, f"target must have {name}_text and {name}_index", target)
        if text[start : start + len(words)] != words:
            fail(where, f"the text at {name}_index {start} must be {words!r}", text[start : start + len(words)])
        spans.append((start, start + len(words), marks))
    (_, end, _), (start, _, _) = sorted(spans)
    if start < end:
        fail(where, "spans of the target must not overlap", target)
    # From the right, as marks move what is behind them.
    for start, end, marks in sorted(spans, reverse=True):
        text = f"{text[:start]}{marks[0]}{text[start:end]}{marks[1]}{text[end:]}"
    return text


def _marked(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    return with_label({"text": marked_text(record, where)}, record)


def _csl(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    return _keywords_and_abstract("；", record, where)


def _csl_spaced(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    return _keywords_and_abstract(" ", record, where)


sentences = json_rows(_sentence)
"""``{"sentence", "label"}``: TNEWS, IFLYTEK."""
sentences_with_keywords = json_rows(_sentence_with_keywords)
"""The same with TNEWS's keywords behind the sentence."""
sentence_pairs = json_rows(_pair, id_keys=("id", "index"))
"""``{"sentence1", "sentence2", "label"}``: AFQMC, CMNLI, OCNLI; and the diagnostics' premise and hypothesis."""
marked_texts = json_rows(_marked)
"""CLUEWSC: a text with its two spans marked."""
keywords_and_abstracts = json_rows(_csl)
"""CSL: keywords joined with ``；``, and the abstract."""
spaced_keywords_and_abstracts = json_rows(_csl_spaced)
"""CSL as CLUE's own code reads it: keywords joined with spaces."""


def entity_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """CLUENER: texts with entities of its ten types."""
    for path in paths:
        records = json_objects(read_lines(path))
        for number, (example, (where, record)) in enumerate(zip(read_entities(path), records)):
            for entity in example.get("entities", ()):
                if entity["label"] not in TYPES:
                    fail(where, f"a type must be one of {', '.join(TYPES)}", entity["label"])
            yield Row(where, record.get("id", number), dict(example))


def question_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """CMRC2018: questions on texts; placeholders for the answers of the test are no answers."""
    for path in paths:
        lines = read_lines(path)
        if not any(_FAKE in line for _, line in lines):
            yield from (Row(str(path), example["id"], dict(example)) for example in read_questions(path))
            continue
        data = JsonDocument(lines).value
        try:
            for paragraph in (one for article in data["data"] for one in article["paragraphs"]):
                for asked in paragraph["qas"]:
                    if not all(answer["text"].startswith(_FAKE) for answer in asked["answers"]):
                        fail(str(path), "a file must have answers or placeholders for them, not both", asked["id"])
                    example = {"id": asked["id"], "question": asked["question"], "context": paragraph["context"]}
                    yield Row(str(path), asked["id"], example)
        except (AttributeError, KeyError, TypeError) as error:
            fail(str(path), "the file must have data, paragraphs, qas and answers as SQuAD has them", error)


def choice_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """C3: questions with choices, over all files of the part; one without an id has its number."""
    number = 0
    for path in paths:
        for example in read_choices(path):
            yield Row(str(path), example.get("id", number), dict(example))
            number += 1


def blank_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """ChID: each blank with the candidates of its line, whose number is the ``group``, and its tag as its id.

    Args:
        paths: the file of lines, and where there are answers that of them, which is found beside it.
    """
    path, *_ = paths
    for example in read_choices(path):
        if "group" not in example:
            fail(str(path), "the file must have lines of candidates with passages, {'candidates', 'content'}", example)
        yield Row(str(path), example["blank"], dict(example))
