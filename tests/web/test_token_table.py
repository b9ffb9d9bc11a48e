"""The table of tokens has what the tokenizer gives, and the text all of its characters."""

import pytest
from page_parts import Page

from hf_ext import build_char_tokenizer
from hf_ext.analysis import tokenized_text
from hf_ext.web.token_table import MOST_TOKENS, token_table

TEXTS = ["", "甲", "长河 the book\n流", "甲\ud7ff😀乙", "<script>alert(1)</script>\"'&", "  长  河  "]


@pytest.fixture(scope="module")
def tokenizer():
    return build_char_tokenizer(["长河流甲乙 the book", "<script>"], model_max_length=8)


@pytest.mark.parametrize("text", TEXTS)
def test_rows_are_the_tokens(tokenizer, text):
    page = Page(token_table(tokenized_text(tokenizer, text), tokenizer.unk_token))
    assert page.is_whole
    rows = tokenizer(text, return_offsets_mapping=True, truncation=False)
    assert page.texts("code") == tokenizer.convert_ids_to_tokens(rows["input_ids"])
    cells = page.texts("td")
    assert [int(one) for one in cells[2::7]] == rows["input_ids"]
    assert [(int(start), int(end)) for start, end in zip(cells[4::7], cells[5::7])] == rows["offset_mapping"]
    # Nothing of the text is lost, and nothing of it is markup.
    assert page.texts("div", "hx-pieces") == [text]
    assert not page.all("script")
    unknown = sum(number == tokenizer.unk_token_id for number in rows["input_ids"])
    assert len(page.all("tr", "unknown")) == unknown


def test_texts_longer_than_the_model_takes_are_shown_to_a_limit(tokenizer):
    text = "河" * (MOST_TOKENS + 9)
    page = Page(token_table(tokenized_text(tokenizer, text)))
    assert len(page.texts("code")) == MOST_TOKENS
    assert page.texts("p") == [
        f"{MOST_TOKENS + 11} tokens, {MOST_TOKENS + 9} words, {MOST_TOKENS + 9} characters; the first "
        f"{MOST_TOKENS} tokens are shown"
    ]
    assert page.texts("div", "hx-pieces") == [text]


def test_a_tokenizer_without_offsets_is_refused():
    with pytest.raises(ValueError, match="tokenizer must be a fast one"):
        tokenized_text(None, "甲")
