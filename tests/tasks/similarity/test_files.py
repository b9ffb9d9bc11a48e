"""Files of pairs with scores, and of texts alone."""

import csv
import json

import pytest

from hf_ext.tasks.similarity.files import read_text_pairs, read_texts_alone


@pytest.mark.parametrize("name", ["stsb_zh/STS-B.valid.data", "afqmc/dev.txt", "pawsx_zh/PAWSX.valid.data"])
def test_files_as_published(shared, name):
    file = shared / "data" / name
    with open(file, encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream, delimiter="\t"))
    pairs = read_text_pairs(file)
    wanted = [(first.strip(), second.strip(), float(score)) for first, second, score in lines]
    assert [(pair["text1"], pair["text2"], pair["score"]) for pair in pairs] == wanted
    assert len({pair["score"] for pair in pairs}) > 1
    assert set(read_texts_alone(file)) == {text for pair in wanted for text in pair[:2]}


def test_published_json_lines(shared):
    file = shared / "data" / "fewclue" / "bustm" / "train_0.json"
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = read_text_pairs(file)
    assert [(pair["text1"], pair["score"]) for pair in pairs] == [(r["sentence1"], float(r["label"])) for r in records]


def test_json_lines_byte_order_mark_and_line_ends(tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [
        {"text1": " 好\u2028的", "text2": "好", "score": 0.5},
        {"text1": "a", "text2": "b", "score": "-2e1", "n": 1},
    ]
    file.write_bytes(("\ufeff" + "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)).encode())
    assert read_text_pairs(file) == [
        {"text1": "好\u2028的", "text2": "好", "score": 0.5},
        {"text1": "a", "text2": "b", "score": -20.0},
    ]
    file.write_bytes(b"")
    assert read_text_pairs(file) == read_texts_alone(file) == []


@pytest.mark.parametrize(
    "content",
    ["b\na\nb\n c ", '{"text": "b"}\n{"text": "a"}\n{"text": "b"}\n{"text": "c"}', "b\ta\t1\nb\tc\t0", "b\ta\nb\tc"],
)
def test_texts_alone_are_distinct_and_in_order(content, tmp_path):
    file = tmp_path / "texts"
    file.write_text(content)
    assert read_texts_alone(file) == ["b", "a", "c"]


def test_headers_name_columns(tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text('id\tscore\tsentence1\tsentence2\n0\t0.5\ta\tb\n1\t1\tc\t"d ""e"""\n')
    assert read_text_pairs(file) == [
        {"text1": "a", "text2": "b", "score": 0.5},
        {"text1": "c", "text2": 'd "e"', "score": 1.0},
    ]
    assert read_texts_alone(file) == ["a", "b", "c", 'd "e"']
    file.write_text("text\tlabel\na\tx\n")
    assert read_texts_alone(file) == ["a"]
    with pytest.raises(ValueError, match=r"pairs\.tsv:2: text2 must be a string that is not blank"):
        read_text_pairs(file)
    file.write_text("query\ttitle\na\tb\n")
    with pytest.raises(ValueError, match=r"pairs\.tsv:2: text must be a string that is not blank"):
        read_texts_alone(file)


@pytest.mark.parametrize(
    "content",
    [
        "0||甲||乙||1.0\n1||丙||丁||0\n",
        "甲||乙||true\n丙||丁||False\n",
        "t-8\t甲\t乙\t1\nt-9\t丙\t丁\t0\n",
        "id,sentence1,sentence2,label\r\n0,甲,乙,1.0\r\n1,丙,丁,0\r\n",
        '{"text_a": "甲", "text_b": "乙", "label": true}\n{"text_a": "丙", "text_b": "丁", "label": false}\n',
        "\ufefftext\ttext2\tscore\n甲\t乙\t1\n丙\t丁\tfalse\n",
    ],
)
def test_ids_bars_commas_and_booleans(content, tmp_path):
    file = tmp_path / "pairs"
    file.write_bytes(content.encode())
    pairs = [("甲", "乙", 1.0), ("丙", "丁", 0.0)]
    assert [(one["text1"], one["text2"], one["score"]) for one in read_text_pairs(file)] == pairs
    assert read_texts_alone(file) == ["甲", "乙", "丙", "丁"]


def test_texts_with_bars_are_texts(tmp_path):
    file = tmp_path / "texts"
    file.write_text("甲||乙\n丙\n")
    assert read_texts_alone(file) == ["甲||乙", "丙"]
    file.write_text("id,sentence\n1,甲\n2,乙\n")
    assert read_texts_alone(file) == ["甲", "乙"]


@pytest.mark.parametrize(
    ("read", "first", "second", "message"),
    [
        (read_text_pairs, "a\tb\t1", "a\tb", r"must have 3 \(text1, text2, score\) columns separated by tabs, not 2"),
        (read_text_pairs, "a\tb\t1", "a\tb\tx", "score must be a finite number, got 'x'"),
        (read_text_pairs, "a\tb\t1", "a\tb\tnan", "score must be a finite number, got 'nan'"),
        (read_text_pairs, "a\tb\t1", "a\t \t1", "text2 must be a string that is not blank"),
        (read_text_pairs, '{"text1": "a", "text2": "b", "score": 1}', "{", "must be JSON"),
        (read_text_pairs, '{"text1": "a", "text2": "b", "score": 1}', "[]", "must be a JSON object"),
        (read_text_pairs, '{"text1": "a", "text2": "b", "score": 1}', '{"text1": "a"}', "text2 must be a string"),
        (read_text_pairs, '{"text1": "a", "text2": "b", "score": 1}', '{"text1": "a", "text2": "b"}', "got 'None'"),
        (
            read_text_pairs,
            '{"text1": "a", "text2": "b", "score": 1}',
            '{"text1": "a", "text2": "b", "score": null}',
            "score must be a finite number, got 'None'",
        ),
        (read_texts_alone, "a", "a\tb\tc\td", "not 4"),
        (read_texts_alone, '{"text": "a"}', '{"text": 1}', "text must be a string that is not blank, got '1'"),
        (read_texts_alone, '{"text": "a"}', '{"document": "a"}', "text must be a string .* got none"),
    ],
)
def test_errors_name_file_and_line(read, first, second, message, tmp_path):
    file = tmp_path / "bad"
    file.write_text(f"{first}\n{second}\n")
    with pytest.raises(ValueError, match=rf"bad:2: .*{message}"):
        read(file)
