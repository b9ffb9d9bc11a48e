"""Summary files, encoding and decoding."""

import json

import pytest

from hf_ext import build_char_tokenizer
from hf_ext.tasks.summarization import decode_summaries, encode_summaries, read_summaries


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
        ("题\t文\n只有一列\n", r"data:2: a line must be a summary, a tab and a text, not 1 columns, got '只有一列'"),
        ("a\tb\tc", "data:1: a line must be .* not 3 columns"),
        ("题\t文\n\n题\t \n", "data:3: text must not be blank"),
        ("\t文", "data:1: summary must not be blank"),
        ('{"text": "a"}', "data:1: summary must be a string, got 'None'"),
        ('{"text": "a", "summary": "b"}\n["a"]', "data:2: the line must be a JSON object"),
        ('{"text": "a", "summary": "b"}\n{"text"', "data:2: the line must be a JSON object, got"),
        ('{"text": 1, "summary": "b"}', "data:1: text must be a string, got '1'"),
        ("题\t文\n".encode() + b"\xff\t1", "data:2: the file must be UTF-8"),
    ],
)
def test_refuses_naming_file_and_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_summaries(write(tmp_path, content))


@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("csl_title_clge/summarization_csl_train.tsv", 1500),
        ("csl_title_clge/summarization_csl_dev.tsv", 350),
        ("csl_title_clge/summarization_csl_test.tsv", 350),
        ("t5_pegasus_sample/train.tsv", 20),
    ],
)
def test_published_files(shared, file, count):
    examples = read_summaries(shared / "data" / file)
    assert len(examples) == count
    # Titles are shorter than abstracts, so the columns are the right way round.
    assert sum(len(e["summary"]) < len(e["text"]) for e in examples) > 0.99 * count


def test_round_trip_through_json(tmp_path):
    examples = [{"text": "甲\t乙", "summary": "丙\n丁"}]
    assert read_summaries(write(tmp_path, json.dumps(examples[0]))) == examples


class TestEncoding:
    examples = ({"text": "今天天气很好abc", "summary": "天气好"}, {"text": "好", "summary": "好"})

    @pytest.fixture
    def tokenizer(self):
        return build_char_tokenizer([example["text"] for example in self.examples])

    @pytest.mark.parametrize("start", ["[CLS]", "[PAD]", None])
    def test_labels_lack_what_the_decoder_starts_with(self, tokenizer, start):
        start_id = tokenizer.convert_tokens_to_ids(start) if start else None
        rows = encode_summaries(self.examples, tokenizer, start_id, 6, 4)
        tokens = [tokenizer.convert_ids_to_tokens(row["labels"]) for row in rows]
        cls = [] if start == "[CLS]" else ["[CLS]"]
        assert tokens == [[*cls, "天", "气", "[SEP]"], [*cls, "好", "[SEP]"]]
        assert tokenizer.convert_ids_to_tokens(rows[0]["input_ids"]) == ["[CLS]", *"今天天气", "[SEP]"]
        assert [set(row) for row in rows] == [{"input_ids", "attention_mask", "labels"}] * 2

    def test_nothing(self, tokenizer):
        assert encode_summaries([], tokenizer, 2, 8, 8) == []

    def test_decoding(self, tokenizer):
        ids = tokenizer(["今天天气很好abc", "好"], padding=True)["input_ids"]
        assert decode_summaries(tokenizer, ids) == ["今天天气很好abc", "好"]
        assert decode_summaries(tokenizer, [[*ids[0][:4], -100, -100]]) == ["今天天"]

    @pytest.mark.parametrize(
        ("decoded", "expected"),
        [
            ("基于 hadoop 平 台 的 xml 文 档", "基于hadoop平台的xml文档"),
            ("a b 1 2", "a b 1 2"),
            ("用 deep learning 的 模 型 , 3 种", "用deep learning的模型,3种"),
        ],
    )
    def test_spaces_between_tokens(self, decoded, expected):
        class Tokenizer:
            pad_token_id = 0

            def batch_decode(self, ids, skip_special_tokens):
                return [decoded]

        assert decode_summaries(Tokenizer(), [[1]]) == [expected]
