"""Examples that are read as they come: of files, folders, tables and data sets, from any of them on."""

import json
from pathlib import Path

import pytest
from datasets import Dataset

from hf_ext.data import ExampleStream

TEXTS = ["一行。", "第二行", "{三}", "第\u2028四行", "五"]


def as_text(folder: Path) -> Path:
    file = folder / "texts.txt"
    file.write_text("\ufeff" + "\n\n".join(TEXTS) + "\r\n", encoding="utf-8")
    return file


def as_lines(folder: Path) -> Path:
    file = folder / "texts.jsonl"
    file.write_text("\n".join(json.dumps({"text": text, "n": n}) for n, text in enumerate(TEXTS)), encoding="utf-8")
    return file


def as_array(folder: Path) -> Path:
    file = folder / "texts.json"
    file.write_text(json.dumps(TEXTS, indent=1), encoding="utf-8")
    return file


def as_table(folder: Path) -> Path:
    file = folder / "texts.parquet"
    Dataset.from_dict({"text": TEXTS}).to_parquet(str(file))
    return file


FORMS = {"text": as_text, "lines": as_lines, "array": as_array, "table": as_table}


def texts(stream, first=0):
    return [example["text"] for example in stream.read(first)]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_read_from_any_example_on(form, tmp_path):
    stream = ExampleStream.of_files(FORMS[form](tmp_path))
    for first in range(len(TEXTS) + 2):
        assert texts(stream, first) == TEXTS[first:]
    # Each time anew.
    assert texts(stream) == [example["text"] for example in stream] == TEXTS


def test_one_json_object_is_one_example(tmp_path):
    file = tmp_path / "one.json"
    file.write_text('{"text": "一"}', encoding="utf-8")
    assert list(ExampleStream.of_files(file)) == [{"text": "一"}]


def test_a_folder_is_its_files_by_their_names(tmp_path):
    for number, form in enumerate(FORMS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        form(folder)
    (tmp_path / "0" / ".hidden").write_text("no\n")
    (tmp_path / "empty.txt").touch()
    stream, wanted = ExampleStream.of_files(tmp_path), TEXTS * 4
    for first in range(len(wanted) + 2):
        assert texts(stream, first) == wanted[first:]


@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("most", [None, 0, 1, 2, 9])
def test_a_part_is_a_slice(first, most, tmp_path):
    stream = ExampleStream.of_files(as_lines(tmp_path))
    wanted = TEXTS[first:] if most is None else TEXTS[first : first + most]
    part = stream.part(first, most)
    assert texts(part) == wanted
    for other in range(4):
        assert texts(part, other) == wanted[other:]
        assert texts(part.part(other, 1)) == wanted[other : other + 1]


def test_a_data_set_is_streamed_or_loaded(tmp_path):
    as_table(tmp_path)
    Dataset.from_dict({"words": TEXTS}).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "hub").mkdir()
    as_table(tmp_path / "hub")
    for streaming in (True, False):
        stream = ExampleStream.of_dataset(tmp_path / "hub", streaming=streaming)
        assert texts(stream, 2) == TEXTS[2:]
        stream = ExampleStream.of_dataset(tmp_path / "saved", columns={"text": "words"}, streaming=streaming)
        assert texts(stream, 1) == TEXTS[1:]
    assert texts(ExampleStream.of_dataset(tmp_path / "hub", "train[1:3]")) == TEXTS[1:3]


def test_a_check_makes_examples_and_knows_their_places(tmp_path):
    stream = ExampleStream.of_files(as_text(tmp_path), lambda example, where: {"text": f"{where.number}"})
    assert texts(stream) == ["1", "3", "5", "7", "9"]
    table = ExampleStream.of_files(as_table(tmp_path), lambda example, where: {"text": where.rpartition(" ")[2]})
    assert texts(table, 3) == ["4", "5"]


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        (None, None, "must be there"),
        ('["a", 1]', None, "must be a JSON object or a string"),
        ('{"text": "a"}\n{"text": ', None, "texts.txt:2"),
        ("a", {"text": "b"}, "columns go with files of Parquet or Arrow"),
    ],
)
def test_what_cannot_be_read_is_named(content, columns, message, tmp_path):
    file = tmp_path / "texts.txt"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        list(ExampleStream.of_files(file, columns=columns))


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must have files"):
        ExampleStream.of_files(tmp_path)
