"""A tokenizer gives no token types to a model that has none, and says so when it is saved."""

from types import SimpleNamespace

import pytest
from transformers import AutoTokenizer, BertConfig

import hf_ext
from hf_ext.data.token_types import leave_out_types
from hf_ext.data.word_vocabulary import with_words

CHARACTERS = hf_ext.build_char_tokenizer(["今天天气很好"])
WITHOUT = ["input_ids", "attention_mask"]


@pytest.mark.parametrize("words", [[], ["今天"]], ids=["characters", "words"])
@pytest.mark.parametrize(("config", "types"), [(hf_ext.TTAConfig(), False), (BertConfig(), True)], ids=["none", "two"])
def test_types_are_left_out_where_there_are_none(words, config, types, tmp_path):
    tokenizer = with_words(CHARACTERS, words) if words else hf_ext.build_char_tokenizer(["今天天气很好"])
    before = list(tokenizer.model_input_names)
    leave_out_types(tokenizer, config)
    tokenizer.save_pretrained(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert one.model_input_names == (before if types else WITHOUT)
        assert ("token_type_ids" in one("今天天气")) == types


def test_what_reads_no_text_is_left_alone():
    processor = SimpleNamespace(model_input_names=["pixel_values"])
    leave_out_types(processor, hf_ext.TTAConfig())
    assert processor.model_input_names == ["pixel_values"]
