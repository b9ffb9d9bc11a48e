"""A tokenizer gives no token types where its model has none."""

from types import SimpleNamespace

import pytest
from transformers import AutoTokenizer

from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.token_types import leave_out_token_types


@pytest.mark.parametrize(
    ("config", "kept"), [({"type_vocab_size": 0}, False), ({"type_vocab_size": 2}, True), ({}, True)]
)
def test_token_types_are_left_out(config, kept, tmp_path):
    tokenizer = build_char_tokenizer(["天气"])
    leave_out_token_types(tokenizer, SimpleNamespace(**config))
    tokenizer.save_pretrained(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert ("token_type_ids" in one("天气")) is kept
        assert "attention_mask" in one("天气")
