"""Vocabularies of words over those of characters."""

import pytest

from hf_ext import build_char_tokenizer
from hf_ext.data.word_vocabulary import frequent_words, with_words

TEXTS = ["今天，天气很好", "今天我们去公园", "公园里天气好，Model model", "公园 123"]


def test_words_are_the_most_frequent_first():
    assert frequent_words(TEXTS, 2) == ["公园", "今天"]
    assert frequent_words(TEXTS, 100, known=["公园"])[:3] == ["今天", "天气", "model"]
    assert all(len(word) > 1 and word.isalpha() for word in frequent_words(TEXTS, 100))
    assert frequent_words([], 5) == []


def test_entries_keep_their_numbers_and_words_are_whole():
    characters = build_char_tokenizer(TEXTS)
    tokenizer = with_words(characters, ["公园", "天气", "公"])
    before, now = characters.get_vocab(), tokenizer.get_vocab()
    assert {entry: now[entry] for entry in before} == before
    assert (now["公园"], now["天气"], len(now)) == (len(before), len(before) + 1, len(before) + 2)
    assert tokenizer.tokenize("今天去公园") == ["今", "天", "去", "公园"]


@pytest.mark.parametrize("texts", [TEXTS, []])
def test_a_word_tokenizer_keeps_the_limit(texts):
    characters = build_char_tokenizer(TEXTS)
    characters.model_max_length = 37
    assert with_words(characters, frequent_words(texts, 3)).model_max_length == 37
