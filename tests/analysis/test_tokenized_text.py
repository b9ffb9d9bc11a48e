"""What is told of a tokenizer's tokens and words, beside what the tokenizer itself and a plain segmenter give."""

import re

import pytest
import rjieba
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast
from word_vocabulary import ENTRIES, SENTENCES

from hf_ext import JiebaWordPieceTokenizer, build_char_tokenizer
from hf_ext.analysis import TokenizedText, tokenized_text, write_token_page

WORDS = JiebaWordPieceTokenizer({entry: index for index, entry in enumerate(ENTRIES)})
CHARACTERS = build_char_tokenizer(SENTENCES[:3])


def told(tokenizer, text: str) -> dict[str, tuple[str, ...]]:
    return {word.text: word.reasons for word in tokenized_text(tokenizer, text).words if word.reasons}


@pytest.mark.parametrize("tokenizer", [WORDS, CHARACTERS], ids=["words", "characters"])
@pytest.mark.parametrize("text", [*SENTENCES, "好", "[MASK]", "[MASK][UNK] 好[SEP]"])
def test_tokens_are_the_tokenizers_own(tokenizer, text):
    seen = tokenized_text(tokenizer, text)
    wanted = tokenizer(text, return_offsets_mapping=True)
    assert isinstance(seen, TokenizedText)
    assert [token.id for token in seen.tokens] == wanted["input_ids"]
    assert [(token.start, token.end) for token in seen.tokens] == wanted["offset_mapping"]
    assert [token.token for token in seen.tokens] == tokenizer.convert_ids_to_tokens(wanted["input_ids"])
    around = [token.word for token in (seen.tokens[0], seen.tokens[-1])]
    numbers = [token.word for token in seen.tokens[1:-1]]
    assert around == [None, None]
    assert None not in numbers
    assert numbers == sorted(numbers)
    for token in seen.tokens[1:-1]:
        word = seen.words[token.word]
        assert word.start <= token.start < token.end <= word.end
        assert word.text == text[word.start : word.end]


@pytest.mark.parametrize("text", [*SENTENCES[:2], "bert is modeling。"])
def test_words_are_those_of_the_segmenter(text):
    words = [word for word in rjieba.cut(text, False) if not word.isspace()]
    assert [word.text for word in tokenized_text(WORDS, text).words] == words


@pytest.mark.parametrize("text", SENTENCES)
def test_no_character_goes_without_a_word_being_said(text):
    """Each is of a token, white space, or told to be left out."""
    seen = tokenized_text(WORDS, text)
    rest = list(text)
    for start, end in [*((token.start, token.end) for token in seen.tokens), *seen.left_out]:
        rest[start:end] = [" "] * (end - start)
    assert "".join(rest).strip() == ""


def test_reasons_of_words():
    cut, unknown = "not in the vocabulary: cut", "not in the vocabulary: [UNK]"
    assert told(WORDS, "今天天气非常不错") == {"今天天气": (cut,)}
    assert told(WORDS, "公园 Model 鑫") == {"Model": ("normalised to model",), "鑫": (unknown,)}
    assert told(WORDS, "Transformer") == {"Transformer": ("normalised to transformer", cut)}
    assert told(WORDS, "a" * 200) == {"a" * 200: (cut,)}
    assert told(WORDS, "a" * 201) == {"a" * 201: ("longer than 200 characters: [UNK]",)}
    assert told(WORDS, "好\u200b") == {"\u200b": ("left out",)}
    assert told(WORDS, "e\u0301") == {}
    assert tokenized_text(WORDS, "e\u0301好").left_out == ((1, 2),)
    # Of ideographs that jieba keeps together and of which the vocabulary has one alone.
    assert told(WORDS, "学堂") == {"学堂": ("not in the vocabulary: cut, with [UNK]",)}
    assert told(CHARACTERS, "Python 鑫") == {"Python": ("normalised to python", cut), "鑫": (unknown,)}


def test_a_word_of_the_users_own_is_found():
    tokenizer = JiebaWordPieceTokenizer({entry: index for index, entry in enumerate(ENTRIES)}, user_words=["了是在"])
    assert told(tokenizer, "了是在") == {"了是在": ("not in the vocabulary: cut",)}
    assert told(WORDS, "了是在") == {}


def test_tokens_that_were_added_are_words():
    tokenizer = JiebaWordPieceTokenizer({entry: index for index, entry in enumerate(ENTRIES)})
    tokenizer.add_tokens(["新冠"])
    seen = tokenized_text(tokenizer, "今天新冠[MASK]今天")
    assert [word.text for word in seen.words] == ["今天", "新冠", "[MASK]", "今天"]
    assert not any(word.reasons for word in seen.words)


def test_long_texts_are_not_cut():
    tokenizer = build_char_tokenizer(["好"], model_max_length=4)
    for count in (9, 20_000):
        seen = tokenized_text(tokenizer, "好" * count)
        assert (len(seen.tokens), len(seen.words)) == (count + 2, count)


def test_any_fast_tokenizer_is_read_and_no_other():
    pairs = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])))
    seen = tokenized_text(pairs, "abb")
    assert [token.token for token in seen.tokens] == ["ab", "b"]
    assert [word.reasons for word in seen.words] == [()] * len(seen.words)
    with pytest.raises(ValueError, match=r"tokenizer must be a fast one, .* got str"):
        tokenized_text("bert", "好")


def test_page_is_escaped(tmp_path):
    text = '<script>alert("1")</script> 鑫&amp;'
    write_token_page(tmp_path / "page.html", [tokenized_text(WORDS, text), tokenized_text(WORDS, "")], title="<b>")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; 鑫&amp;amp;" in page
    assert "<li>鑫: not in the vocabulary: [UNK]</li>" in page
    assert len(re.findall('<span class="token', page)) == len(WORDS(text)["input_ids"]) + 2
