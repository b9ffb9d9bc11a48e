"""Rows of clozes: where the masks are, what is cut, and words that a vocabulary does not have."""

import re

import pytest
import torch
from tokenizers import AddedToken, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, RobertaTokenizer
from word_vocabulary import ENTRIES

from hf_ext import JiebaWordPieceTokenizer, build_char_tokenizer
from hf_ext.tasks.cloze import (
    ClozeEncoder,
    ClozePattern,
    add_soft_tokens,
    encode_cloze,
    encode_unlabelled,
    soft_token_ids,
)

CHARACTERS = build_char_tokenizer(["很不满意好房间干净今天去北京上海体育军事。，ab甲乙丙丁戊"])
WORDS = {"good": "很", "bad": "不"}
PATTERN = ClozePattern("{mask}满意。{text}", WORDS)


def tokens(row, tokenizer=CHARACTERS):
    return tokenizer.convert_ids_to_tokens(row["input_ids"])


def rows(pattern, *examples, max_length=64, tokenizer=CHARACTERS):
    return ClozeEncoder(pattern, tokenizer, max_length)(examples)


def test_a_row_is_what_the_tokenizer_makes_of_the_whole_text():
    (row,) = rows(PATTERN, {"text": "房间很干净", "label": "bad"})
    whole = CHARACTERS("[MASK]满意。房间很干净")
    assert {name: row[name] for name in whole} == dict(whole)
    assert (row["mask_places"], row["labels"]) == ([1], 1)
    assert row["spared"] == [True, True, *[False] * 8, True]
    dataset = encode_cloze([{"text": "房间很干净", "label": "bad"}, {"text": ""}], PATTERN, CHARACTERS, 64)
    assert dataset[0] == row
    assert (tokens(dataset[1]), dataset[1]["labels"]) == (["[CLS]", "[MASK]", *"满意。", "[SEP]"], -100)
    assert rows(PATTERN) == []


@pytest.mark.parametrize(
    ("template", "words", "wanted"),
    [
        ("去{mask}，{text}", ["北京", "上海"], "去##，甲"),
        ("去{mask}{mask}，{text}", ["北京", "上海"], "去##，甲"),
        ("去{mask}，{text}", ["北", "上"], "去#，甲"),
        ("{mask}去{mask}，{text}", ["北京", "上海"], "#去#，甲"),
    ],
)
def test_there_are_as_many_masks_as_a_word_has_tokens(template, words, wanted):
    pattern = ClozePattern(template, dict(zip("ab", words)))
    encoder = ClozeEncoder(pattern, CHARACTERS, 64)
    (row,) = encoder([{"text": "甲"}])
    assert "".join(tokens(row)[1:-1]).replace("[MASK]", "#") == wanted
    assert row["mask_places"] == [place + 1 for place, one in enumerate(wanted) if one == "#"]
    assert encoder.words.tolist() == [[CHARACTERS.convert_tokens_to_ids(list(word))] for word in words]


def test_masks_of_a_text_are_not_those_of_the_pattern():
    (row,) = rows(PATTERN, {"text": "甲[MASK]乙[SEP]丙"})
    assert row["mask_places"] == [1]
    assert tokens(row) == ["[CLS]", "[MASK]", *"满意。甲", "[MASK]", "乙", "[SEP]", "丙", "[SEP]"]
    # None of these is masked at random either.
    assert [place for place, spared in enumerate(row["spared"]) if spared] == [0, 1, 6, 8, 10]


@pytest.mark.parametrize("length", range(6, 14))
@pytest.mark.parametrize("template", ["{mask}满意。{text}", "{text}，{mask}满意"])
def test_the_text_is_cut_and_not_the_pattern(template, length):
    text = "甲乙丙丁戊房间"
    (row,) = rows(ClozePattern(template, WORDS), {"text": text}, max_length=length)
    kept = text[: length - 6]
    wanted = template.format(mask="#", text=kept)
    assert "".join(tokens(row)[1:-1]).replace("[MASK]", "#") == wanted
    assert tokens(row)[row["mask_places"][0]] == "[MASK]"
    assert len(row["input_ids"]) == len(row["spared"]) == min(length, 13)


def test_of_several_texts_the_longest_is_cut_and_none_that_is_to_be_whole():
    pattern = ClozePattern("{a}，{mask}，{b}", WORDS)
    example = {"a": "甲甲甲甲", "b": "乙乙"}
    (row,) = rows(pattern, example, max_length=9)
    assert "".join(tokens(row)[1:-1]).replace("[MASK]", "#") == "甲甲，#，乙乙"
    whole = ClozePattern("{a:whole}，{mask}，{b}", WORDS)
    (row,) = rows(whole, example, max_length=9)
    assert "".join(tokens(row)[1:-1]).replace("[MASK]", "#") == "甲甲甲甲，#，"
    with pytest.raises(ValueError, match="max_length must leave room for the pattern, which has 9 tokens, got 8"):
        rows(whole, example, max_length=8)


def test_around_a_blank_the_text_is_cut_at_both_ends():
    pattern = ClozePattern("{text}", blank="#idiom#", candidates="candidates")
    example = {"text": "甲甲甲甲#idiom#乙乙乙乙", "candidates": ["北京", "上海", "今天"], "label": "2"}
    (row,) = rows(pattern, example, max_length=8)
    assert "".join(tokens(row)[1:-1]).replace("[MASK]", "#") == "甲甲##乙乙"
    assert (row["mask_places"], row["labels"]) == ([3, 4], 2)
    assert row["words"] == [[CHARACTERS.convert_tokens_to_ids(list(word))] for word in example["candidates"]]


def test_candidates_may_have_what_the_vocabulary_lacks(caplog):
    """Nobody chose them, and the others are to be scored; tokens with a meaning of their own are none of a word."""
    pattern = ClozePattern("{text}", blank="#idiom#", candidates="candidates")
    example = {"text": "甲#idiom#乙", "candidates": ["北京", "上龘"], "label": "1"}
    (row,) = encode_cloze([example], pattern, CHARACTERS, 16)
    assert [CHARACTERS.convert_ids_to_tokens(ids) for (ids,) in row["words"]] == [["北", "京"], ["上", "[UNK]"]]
    assert "1 of 2 candidates have characters that the vocabulary lacks; these are scored as [UNK]" in caplog.text
    with pytest.raises(ValueError, match=re.escape("got 上 [SEP] for '上[SEP]'")):
        rows(pattern, {**example, "candidates": ["北京", "上[SEP]"]})


@pytest.mark.parametrize(
    ("template", "words", "message"),
    [
        ("{mask}{text}", {"a": "很", "b": "龘"}, "of tokens that the model can predict, got [UNK] for '龘'"),
        ("{mask}{text}", {"a": "很", "b": "[SEP]"}, "of tokens that the model can predict, got [SEP] for '[SEP]'"),
        ("{mask}{text}", {"a": "很", "b": "北京"}, "as many tokens as the first word's 1, got 2 for '北京': 北 京"),
        ("{mask}{mask}{text}", {"a": "很", "b": "北京"}, "as many tokens as the pattern's 2 masks, got 1 for '很': 很"),
        (
            "{mask}{text}",
            {"a": "A", "b": "a"},
            "words must have tokens of their own, got a for 'A' of 'a' and 'a' of 'b'",
        ),
    ],
)
def test_words_that_cannot_be_predicted_apart_are_refused(template, words, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ClozeEncoder(ClozePattern(template, words), CHARACTERS, 64)


def test_labels_that_share_a_word_share_its_tokens():
    pattern = ClozePattern("{mask}{text}", {"a": "北京", "b": "上海", "c": "北京"}, shared_words=True)
    words = ClozeEncoder(pattern, CHARACTERS, 64).words
    assert (words[0] == words[2]).all()
    assert (words[0] != words[1]).any()


def test_a_vocabulary_of_words_has_one_token_where_characters_have_two():
    """And another pattern has as many masks."""
    tokenizer = JiebaWordPieceTokenizer(vocab={one: index for index, one in enumerate(ENTRIES)})
    pattern = ClozePattern("{mask}新闻。{text}", {"a": "国际", "b": "军事"})
    (row,) = rows(pattern, {"text": "我们去公园散步"}, max_length=7, tokenizer=tokenizer)
    assert tokens(row, tokenizer) == ["[CLS]", "[MASK]", "新闻", "。", "我们", "去", "[SEP]"]
    with pytest.raises(ValueError, match=re.escape("as many tokens as the first word's 1, got 2 for '好吧': 好 吧")):
        ClozeEncoder(ClozePattern("{mask}新闻。{text}", {"a": "国际", "b": "好吧"}), tokenizer, 64)


def roberta(takes_space):
    letters = [*pre_tokenizers.ByteLevel.alphabet()]
    vocab = {one: index for index, one in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(letters)])}
    merges = [("Ġ", "g"), ("o", "d"), ("Ġg", "o"), ("Ġgo", "od"), ("Ġ", "b"), ("a", "d"), ("Ġb", "ad"), ("g", "o")]
    for one, other in merges:
        vocab[one + other] = len(vocab)
    mask = AddedToken("<mask>", lstrip=takes_space, special=True)
    return RobertaTokenizer(vocab=vocab, merges=merges, mask_token=mask)


def test_a_word_behind_a_space_is_read_with_it_where_the_mask_takes_the_space():
    tokenizer = roberta(True)
    pattern = ClozePattern("It was {mask}. {text}", {"good": "good", "bad": "bad"})
    encoder = ClozeEncoder(pattern, tokenizer, 64)
    assert tokenizer.convert_ids_to_tokens(encoder.words.flatten().tolist()) == ["Ġgood", "Ġbad"]
    (row,) = encoder([{"text": "Room"}])
    assert row["input_ids"] == tokenizer("It was<mask>. Room")["input_ids"]
    apart = roberta(False)
    (row,) = ClozeEncoder(ClozePattern("It was {mask}. {text}", {"good": "go", "odd": "od"}), apart, 64)(
        [{"text": "Room"}]
    )
    assert apart.convert_ids_to_tokens(row["input_ids"])[row["mask_places"][0] - 1 :][:2] == ["Ġ", "<mask>"]
    assert row["input_ids"][row["mask_places"][0]] == tokenizer.mask_token_id
    assert "token_type_ids" not in row
    within = ClozeEncoder(ClozePattern("It was({mask}). {text}", pattern.words), tokenizer, 64)
    assert tokenizer.convert_ids_to_tokens(within.words.flatten().tolist()) == ["go", "od", "b", "ad"]


def test_a_label_that_the_pattern_lacks_is_refused():
    with pytest.raises(ValueError, match="label must be one of good, bad, got 'fine'"):
        rows(PATTERN, {"text": "甲", "label": "fine"})


def test_a_tokenizer_must_have_a_mask():
    tokenizer = build_char_tokenizer(["很不甲"], mask_token=None)
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="tokenizer must have a mask token, got"):
        ClozeEncoder(PATTERN, tokenizer, 64)


def test_unlabelled_texts_have_no_pattern():
    data = encode_unlabelled([{"text": "甲乙丙"}], PATTERN, CHARACTERS, 4)
    assert tokens(data[0]) == ["[CLS]", "甲", "乙", "[SEP]"]
    assert (data[0]["mask_places"], data[0]["labels"]) == ([], -100)
    assert data[0]["spared"] == [True, False, False, True]
    pair = ClozePattern("{text}{mask}{text2}", WORDS)
    data = encode_unlabelled([{"text": "甲", "text2": "乙"}], pair, CHARACTERS, 8)
    assert data[0]["input_ids"] == CHARACTERS("甲", "乙")["input_ids"]


def model(size):
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForMaskedLM(BertConfig(vocab_size=size, **shape))


def test_soft_tokens_are_entries_that_no_text_has():
    entries = [
        "[PAD]",
        *(f"[unused{number}]" for number in range(1, 9)),
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"很不甲",
    ]
    tokenizer = BertTokenizer(vocab={one: index for index, one in enumerate(entries)})
    assert soft_token_ids(tokenizer, 8) == [*range(1, 9)]
    pattern = ClozePattern("{mask}{text}", WORDS).with_soft_tokens(8)
    (row,) = rows(pattern, {"text": "甲[unused1]"}, tokenizer=tokenizer)
    # As the author's: [CLS], four of them, the mask, the other four, the text.
    assert row["input_ids"][:11] == [10, 1, 2, 3, 4, 12, 5, 6, 7, 8, entries.index("甲")]
    assert row["mask_places"] == [5]
    assert 1 not in row["input_ids"][11:]
    assert row["spared"][:11] == [True] * 10 + [False]


def test_a_vocabulary_without_such_entries_is_given_some():
    tokenizer = build_char_tokenizer(["很不满意。甲"])
    with pytest.raises(ValueError, match=re.escape("tokenizer must have 2 tokens that no text has, [unused1] and on")):
        soft_token_ids(tokenizer, 2)
    size = len(tokenizer)
    own = model(size)
    assert add_soft_tokens(tokenizer, own, 2) == [size, size + 1] == soft_token_ids(tokenizer, 2)
    assert own.get_input_embeddings().weight.shape[0] == own.get_output_embeddings().weight.shape[0] == size + 2
    assert add_soft_tokens(tokenizer, own, 2) == [size, size + 1]
    assert len(tokenizer) == size + 2
    (row,) = rows(ClozePattern("{soft}{mask}{soft}{text}", WORDS), {"text": "甲"}, tokenizer=tokenizer)
    assert row["input_ids"][1:4] == [size, tokenizer.mask_token_id, size + 1]
    assert torch.tensor(row["mask_places"]).tolist() == [2]
