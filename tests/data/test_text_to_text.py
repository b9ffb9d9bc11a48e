"""Texts with summaries to model inputs, and ids back to text."""

import pytest

from hf_ext import build_char_tokenizer
from hf_ext.data import decode_summaries, encode_summaries


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
