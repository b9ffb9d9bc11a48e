"""Summary files, encoding and decoding."""

import json

import pytest

from hf_ext.tasks.summarization import read_summaries


def write(folder, content):
    path = folder / "data"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", []),
        ("\n  \n", []),
        ("题\t文章\n", [("文章", "题")]),
        ("\ufeff题 \t 文章\r\n\r\n又\t一\u2028篇", [("文章", "题"), ("一\u2028篇", "又")]),
        ('{"text": "文章", "summary": "题", "id": 1}\n{"summary": "b", "text": "a"}', [("文章", "题"), ("a", "b")]),
        ("{题}\t{文章}", [("{文章}", "{题}")]),
    ],
)
def test_reads(tmp_path, content, expected):
    examples = read_summaries(write(tmp_path, content))
    assert examples == [{"text": text, "summary": summary} for text, summary in expected]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "题\t文\n只有一列\n",
            r"data:2: a line must have 2 \(summary, text\) columns .* not 1, got '只有一列'",
        ),
        ("a\tb\tc", "data:1: a line must have .* not 3"),
        ("题\t文\n\n题\t \n", "data:3: text must be a string that is not blank"),
        ("\t文", "data:1: summary must be a string that is not blank"),
        ('{"text": "a"}', "data:1: summary must be a string that is not blank, got none"),
        ('{"text": "a", "summary": "b"}\n["a"]', "data:2: the line must be a JSON object"),
        ('{"text": "a", "summary": "b"}\n{"text"', "data:2: the line must be JSON, got"),
        ('{"text": 1, "summary": "b"}', "data:1: text must be a string that is not blank, got '1'"),
        ("题\t文\n".encode() + b"\xff\t1", "data:2: the file must be UTF-8"),
    ],
)
def test_refuses_naming_file_and_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_summaries(write(tmp_path, content))


@pytest.mark.parametrize(
    "file",
    [
        "csl_title_clge/summarization_csl_train.tsv",
        "csl_title_clge/summarization_csl_dev.tsv",
        "csl_title_clge/summarization_csl_test.tsv",
        "t5_pegasus_sample/train.tsv",
    ],
)
def test_published_files(shared, file):
    lines = (shared / "data" / file).read_text(encoding="utf-8").split("\n")
    examples = read_summaries(shared / "data" / file)
    assert len(examples) == sum(bool(line.strip()) for line in lines) > 0
    # Titles are shorter than abstracts, so the columns are the right way round.
    assert sum(len(e["summary"]) < len(e["text"]) for e in examples) > 0.99 * len(examples)


def test_round_trip_through_json(tmp_path):
    examples = [{"text": "甲\t乙", "summary": "丙\n丁"}]
    assert read_summaries(write(tmp_path, json.dumps(examples[0]))) == examples


def test_headers_and_quotes(tmp_path):
    content = 'text\tsummary\n文\t题\n"他说""好"""\t"题"\n'
    assert read_summaries(write(tmp_path, content)) == [
        {"text": "文", "summary": "题"},
        {"text": '他说"好"', "summary": "题"},
    ]
    with pytest.raises(ValueError, match="data:2: text must be a string that is not blank, got none"):
        read_summaries(write(tmp_path, "title\tcontent\n题\t文\n"))
