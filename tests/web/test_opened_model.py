"""What is typed, or sent in a file, becomes documents as pipelines read them; what is wrong is told in a sentence."""

import json
from types import SimpleNamespace

import pytest
from saved_tiny import TEXT, saved
from transformers import pipeline

from hf_ext.tasks.entities.span_head import AutoModelForSpanExtraction
from hf_ext.tasks.reading_comprehension.head import AutoModelForReadingComprehension
from hf_ext.web.opened_model import MOST_BYTES, MOST_CHARACTERS, MOST_DOCUMENTS, OpenedModel


def model_of(reads, optional=(), predict_options=None):
    kind = {"found": "found", "reads": reads, "optional": optional, "predict_options": predict_options or {}}
    return OpenedModel("m", "m gives found", SimpleNamespace(**kind))


TEXTS = model_of((("text", "text2"), ("text",)))
CHOICES = model_of((("text", "choices"),), ("question", "blank", "group"))
TURNS = model_of((("turns",), ("text",)))
IMAGES = model_of((("image",),))


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (TEXTS, ["text", "text2"]),
        (CHOICES, ["text", "choices", "question", "blank"]),
        (TURNS, ["turns"]),
        (IMAGES, ["image"]),
    ],
)
def test_fields(model, fields):
    assert model.fields == fields


@pytest.mark.parametrize(
    ("model", "values", "expected"),
    [
        (TEXTS, {"text": " 甲 ", "text2": None}, {"text": " 甲 "}),
        (TEXTS, {"text": "甲", "text2": "  "}, {"text": "甲"}),
        (TEXTS, {"text": "甲", "text2": "乙"}, {"text": "甲", "text2": "乙"}),
        (CHOICES, {"text": "甲", "choices": "乙\n\n 丙\n"}, {"text": "甲", "choices": ["乙", "丙"]}),
        (
            CHOICES,
            {"text": "甲", "choices": "乙", "question": "问", "blank": ""},
            {"text": "甲", "choices": ["乙"], "question": "问"},
        ),
        (TURNS, {"turns": "甲\n乙"}, {"turns": ["甲", "乙"]}),
    ],
)
def test_documents_of_fields(model, values, expected):
    assert model.document(values) == expected


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (TEXTS, {"text": " ", "text2": "乙"}, "text must not be empty"),
        (CHOICES, {"text": "", "choices": None}, "text and choices must not be empty"),
        (TEXTS, {"text": "甲" * (MOST_CHARACTERS + 1)}, "a text must have at most 20,000 characters, got 20,001"),
        (TEXTS, {"text": "\ud800"}, "text"),
        (IMAGES, {"image": "http://localhost/a.png"}, "image must be a file that is sent"),
        (IMAGES, {"image": "no-such-file.png"}, "image must be a file that is sent"),
    ],
)
def test_fields_that_are_refused(model, values, message):
    with pytest.raises(ValueError, match=message):
        model.document(values)


def test_documents_of_files(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("甲\n\n乙\n", encoding="utf-8")
    assert TEXTS.documents_of_file(str(file)) == [{"text": "甲"}, {"text": "乙"}]
    rows = [{"text": "甲", "choices": ["乙"], "group": 3, "more": 1}]
    file.write_text(json.dumps(rows), encoding="utf-8")
    assert CHOICES.documents_of_file(str(file)) == [{"text": "甲", "choices": ["乙"], "group": 3}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "texts.txt must have at least one line, got none"),
        (b'{"a": 1}\n', "texts.txt:1: a line must be a JSON object"),
        ("甲".encode("gb18030"), "texts.txt:1: the file must be UTF-8"),
        (b"a\n" * (MOST_DOCUMENTS + 1), "texts.txt must have at most 200 documents, got more"),
        (b"a\n" + b"a" * (MOST_CHARACTERS + 1), "document 2 of texts.txt must have at most 20,000 characters"),
        (b"a" * (MOST_BYTES + 1), "a file must have at most 4,194,304 bytes, got 4,194,305"),
    ],
)
def test_files_that_are_refused_are_told_without_their_folder(tmp_path, content, message):
    file = tmp_path / "texts.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        TEXTS.documents_of_file(str(file))
    assert str(tmp_path) not in str(caught.value)


def test_the_texts_of_a_document_are_counted_together(tmp_path):
    file = tmp_path / "rows.jsonl"
    half = "甲" * (MOST_CHARACTERS // 2)
    file.write_text(json.dumps({"text": half, "choices": [half[2:], "乙", "丙"]}), encoding="utf-8")
    assert len(CHOICES.documents_of_file(str(file))) == 1
    file.write_text(json.dumps({"text": half, "choices": [half[2:], "乙", "丙丁"]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"document 1 of rows\.jsonl must have at most 20,000 characters, got 20,001"):
        CHOICES.documents_of_file(str(file))


def test_a_file_that_names_images_of_the_server_is_not_read(tmp_path):
    file = tmp_path / "images.jsonl"
    file.write_text(json.dumps({"image": str(file)}))
    with pytest.raises(ValueError, match="a model of images reads no files of texts"):
        IMAGES.documents_of_file(str(file))


@pytest.fixture(scope="module")
def spans(tmp_path_factory):
    names = {0: "person", 1: "work"}
    folder = tmp_path_factory.mktemp("spans")
    return str(saved(folder, AutoModelForSpanExtraction.from_config, length=32, id2label=names))


def test_answers_are_those_of_the_pipeline(spans):
    model = OpenedModel.open(spans, device="cpu", sample="甲")
    folder = spans.rpartition("/")[2]
    assert (model.name, model.purpose) == (folder, f"{folder} gives entities (person, work) for text")
    assert (model.found, model.numbers, model.sample) == ("entities", ["threshold"], "甲")
    documents = [{"text": TEXT}, {"text": "何远"}]
    find = pipeline("span-extraction", model=spans)
    for typed, options in (({}, {}), ({"threshold": ""}, {}), ({"threshold": " 0.2 "}, {"threshold": 0.2})):
        found = [one["entities"] for one in model.answers(documents, typed)]
        assert [[(own["start"], own["end"], own["label"]) for own in entities] for entities in found] == [
            [(own["start"], own["end"], own["label"]) for own in find(one["text"], **options)] for one in documents
        ]
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\), got 2.0"):
        model.answers(documents, {"threshold": "2"})
    with pytest.raises(ValueError, match="threshold must be a number, got 'much'"):
        model.answers(documents, {"threshold": "much"})


def test_numbers_that_are_whole(tmp_path):
    make = AutoModelForReadingComprehension.from_config
    model = OpenedModel.open(str(saved(tmp_path, make, length=32, answer_head_size=8)), device="cpu")
    document = model.document({"question": "谁写了长河", "context": TEXT})
    ((answer,), several) = (model.answers([document], {"top_k": many})[0]["answers"] for many in ("1", "3"))
    assert (several[0]["start"], len(several)) == (answer["start"], 3)
    with pytest.raises(ValueError, match=r"top_k must be a whole number, got '1\.5'"):
        model.answers([document], {"top_k": "1.5"})
