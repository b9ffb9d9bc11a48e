"""The tokenizer's ways to the same result: the Rust pipeline with its callback, encodings made in Python, ids alone."""

import copy
import json
import pickle
import random

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Encoding
from tokenizers.processors import TemplateProcessing
from transformers import BatchEncoding
from word_vocabulary import ENTRIES, SENTENCES, WORDS

from hf_ext.tokenization import JiebaWordPieceTokenizer
from hf_ext.tokenization.batch import LazyBatchEncoding

VOCABULARY = {entry: index for index, entry in enumerate(ENTRIES)}

# Blocks whose characters behave differently: ASCII, controls, accents, kana, jamo, marks, emoji, ideographs, anything.
BLOCKS = [(0x20, 0x7F), (0, 0x500), (0x300, 0x370), (0x2000, 0x2070), (0x3000, 0x3130), (0xAC00, 0xAC80)]
BLOCKS += [
    (0x1100, 0x1200),
    (0xF900, 0xFB00),
    (0xFE00, 0xFFFF),
    (0x1F300, 0x1F700),
    (0x4E00, 0x4F00),
    (0xE000, 0x110000),
]


def random_text(random_: random.Random) -> str:
    parts = []
    for _ in range(random_.randrange(8)):
        block = random_.choice(BLOCKS)
        parts += random_.choices(WORDS, k=random_.randrange(3))
        parts += [chr(random_.randrange(*block)) for _ in range(random_.randrange(4))]
        parts += random_.choices(["[MASK]", "[SEP", " ", "ing", "新词", "Ω"], k=random_.randrange(2))
    return "".join(parts)


@pytest.fixture(scope="module")
def tokenizer() -> JiebaWordPieceTokenizer:
    return JiebaWordPieceTokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    random_ = random.Random(0)
    return SENTENCES + [random_text(random_) for _ in range(800)]


def content(encoding: Encoding) -> tuple:
    state = json.loads(encoding.__getstate__())
    state.pop("overflowing")
    return state, [content(part) for part in encoding.overflowing]


def assert_equal(ours: list[Encoding], rust: list[Encoding], items: list) -> None:
    assert len(ours) == len(rust)
    for a, b, item in zip(ours, rust, items):
        assert content(a) == content(b), repr(item)


BACKEND_SETTINGS = {
    "plain": ({}, None, None),
    "no special tokens": ({"add_special_tokens": False}, None, None),
    "overflow": ({}, {"max_length": 12, "stride": 3}, None),
    "overflow to the left": ({}, {"max_length": 9, "stride": 2, "direction": "left"}, None),
    "only the second": ({}, {"max_length": 600, "strategy": "only_second"}, None),
    "longest": ({}, None, {"pad_id": 0}),
    "longest, left, multiple": ({}, None, {"pad_id": 0, "direction": "left", "pad_to_multiple_of": 8}),
    "fixed": ({}, {"max_length": 20}, {"pad_id": 0, "length": 20, "pad_type_id": 3, "pad_token": "[PAD]"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKEND_SETTINGS)
@pytest.mark.parametrize("kind", ["single", "pair", "words"])
def test_encodings_made_in_python_are_those_of_the_rust_pipeline(texts, name, kind):
    backend = JiebaWordPieceTokenizer(VOCABULARY).backend_tokenizer
    arguments, truncation, padding = BACKEND_SETTINGS[name]
    if truncation and (kind == "pair" or "strategy" not in truncation):
        backend.enable_truncation(**truncation)
    if padding:
        backend.enable_padding(**padding)
    # The overflow of a pair has a part for each pair of parts.
    few = [text for text in texts if len(text) < 40][:200]
    items = {
        "single": texts,
        "pair": list(zip(few[:30], few[30:60])),
        "words": [text.split(" ") for text in few],
    }[kind]
    pretokenized = kind == "words"
    ours = backend.encode_batch(items, is_pretokenized=pretokenized, **arguments)
    assert_equal(ours, backend.tokenizer.encode_batch(items, is_pretokenized=pretokenized, **arguments), items)


@pytest.mark.parametrize(
    "options",
    [
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
    ],
)
def test_normalisation_options_agree_on_both_ways(texts, options):
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY, **options)
    backend = tokenizer.backend_tokenizer
    assert_equal(backend.encode_batch(texts), backend.tokenizer.encode_batch(texts), texts)
    assert tokenizer(texts)["input_ids"] == [encoding.ids for encoding in backend.tokenizer.encode_batch(texts)]


def test_released_vocabulary_and_news_titles_agree_on_both_ways(shared):
    tokenizer = JiebaWordPieceTokenizer(str(shared / "vocab" / "wobert.vocab.txt"))
    lines = (shared / "data" / "tnews" / "dev.tsv").read_text(encoding="utf-8").split("\n")[:2000]
    rust = tokenizer.backend_tokenizer.tokenizer.encode_batch(lines)
    assert_equal(tokenizer.backend_tokenizer.encode_batch(lines), rust, lines)
    assert tokenizer(lines)["input_ids"] == [encoding.ids for encoding in rust]


def test_added_tokens_are_found_on_every_way(texts):
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY)
    tokenizer.add_tokens(["新词", AddedToken("Ing", normalized=True), AddedToken("天", lstrip=True, single_word=True)])
    tokenizer.add_special_tokens({"extra_special_tokens": ["[E]"]})
    items = [*texts, "一个新词modelING", "见[E]吧", "x天 y天"]
    rust = tokenizer.backend_tokenizer.tokenizer.encode_batch(items)
    assert tokenizer(items)["input_ids"] == [encoding.ids for encoding in rust]
    assert_equal(tokenizer.backend_tokenizer.encode_batch(items), rust, items)
    assert tokenizer.convert_tokens_to_ids("新词") in tokenizer("一个新词")["input_ids"]


CALLS = [
    {},
    {"add_special_tokens": False},
    {"padding": True},
    {"padding": True, "padding_side": "left", "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 24, "truncation": True},
    {"truncation": True, "max_length": 9},
    {"truncation": "only_first", "max_length": 500},
    {"truncation": True, "max_length": 3},
    {"return_token_type_ids": False, "return_attention_mask": False},
    {"split_special_tokens": True},
    {"padding": True, "return_tensors": "pt"},
    {"padding": True, "return_tensors": "np"},
    {"return_offsets_mapping": True, "truncation": True, "max_length": 9},
    {"return_offsets_mapping": True, "padding": True, "padding_side": "left"},
    {"return_special_tokens_mask": True, "return_length": True},
    {"return_overflowing_tokens": True, "truncation": True, "max_length": 12, "stride": 2},
]


def as_lists(batch: BatchEncoding) -> dict[str, list]:
    return {k: v.tolist() if isinstance(v, torch.Tensor | np.ndarray) else v for k, v in batch.items()}


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("kind", ["single", "batch", "pair", "pairs", "tuples"])
def test_a_call_is_that_of_the_plain_fast_tokenizer(texts, monkeypatch, kind, call, side):
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY, truncation_side=side)
    some = [text for text in texts if text.strip() and len(text) < 60][:40]
    arguments = {
        "single": (some[0],),
        "batch": (some,),
        "pair": (some[0], some[3]),
        "pairs": (some, some[::-1]),
        "tuples": (list(zip(some, some[::-1])),),
    }[kind]
    ours = tokenizer(*arguments, **call)
    # The same with nothing but the Rust pipeline.
    monkeypatch.setattr(JiebaWordPieceTokenizer, "_encode_ids", lambda *_, **__: None)
    backend = type(tokenizer.backend_tokenizer)
    monkeypatch.setattr(backend, "encode_batch", lambda self, *a, **k: self.tokenizer.encode_batch(*a, **k))
    rust = tokenizer(*arguments, **call)
    assert as_lists(ours) == as_lists(rust)
    assert list(ours) == list(rust)
    assert ours.is_fast
    assert ours.n_sequences == rust.n_sequences
    assert ours.word_ids(0) == rust.word_ids(0)
    assert ours.char_to_token(0, 2) == rust.char_to_token(0, 2)
    assert ours.sequence_ids(0) == rust.sequence_ids(0)
    assert_equal(ours.encodings, rust.encodings, some)


@pytest.mark.parametrize(
    ("arguments", "call", "error"),
    [
        ((3,), {}, ValueError),
        ((["a", 3],), {}, TypeError),
        ((["a"], ["b", "c"]), {}, ValueError),
        ((["a"], "b"), {}, TypeError),
        (("今天公园",), {"truncation": "only_second", "max_length": 3}, Exception),
        (("今天\ud800天气",), {}, UnicodeEncodeError),
    ],
)
def test_wrong_arguments_raise(tokenizer, arguments, call, error):
    with pytest.raises(error):
        tokenizer(*arguments, **call)


def test_encode_tokenize_and_empty_texts(tokenizer):
    assert tokenizer.encode("今天公园", add_special_tokens=False) == [VOCABULARY["今天"], VOCABULARY["公园"]]
    assert tokenizer.tokenize("今天modeling吗") == ["今天", "model", "##ing", "[UNK]"]
    assert tokenizer.tokenize("今天", "公园", add_special_tokens=True) == ["[CLS]", "今天", "[SEP]", "公园", "[SEP]"]
    assert tokenizer("")["input_ids"] == [2, 3]
    assert tokenizer(["", ""], ["", ""])["token_type_ids"] == [[0, 0, 1]] * 2
    assert tokenizer("今天", text_target="公园")["labels"] == [2, VOCABULARY["公园"], 3]


def test_long_words_and_unknown_pieces_are_one_unknown_token(tokenizer):
    unknown = tokenizer.unk_token_id
    assert tokenizer("a" * 201, add_special_tokens=False)["input_ids"] == [unknown]
    assert len(tokenizer("a" * 200, add_special_tokens=False)["input_ids"]) == 200
    batch = tokenizer("qzqz今天", add_special_tokens=False, return_offsets_mapping=True)
    assert batch["input_ids"] == [unknown, VOCABULARY["今天"]]
    assert batch["offset_mapping"] == [(0, 4), (4, 6)]


def test_offsets_count_original_characters(tokenizer):
    text = "e\u0301今天\x00ガ한"
    batch = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    assert batch["offset_mapping"][:2] == [(0, 1), (2, 4)]
    assert {(start, end) for start, end in batch["offset_mapping"][2:]} <= {(5, 6), (6, 7), (5, 7)}


def test_encodings_are_made_when_asked_for(tokenizer, monkeypatch):
    batch = tokenizer(["今天公园", "公园"], padding=True, return_tensors="pt")
    assert isinstance(batch, LazyBatchEncoding)
    assert batch._source is not None
    assert batch.is_fast
    assert batch._source is not None
    assert batch.word_ids(0) == [None, 0, 1, None]
    assert batch._source is None
    assert batch.word_ids(1) == [None, 0, None, None]
    assert batch[0].tokens == ["[CLS]", "今天", "公园", "[SEP]"]
    moved = tokenizer(["今天"], return_tensors="pt").to("cpu")
    assert moved.char_to_token(0, 1) == 1


def test_the_list_of_texts_may_change_before_encodings_are_asked_for(tokenizer):
    texts = ["今天公园", "公园"]
    batch = tokenizer(texts)
    texts.clear()
    assert batch.tokens(1) == ["[CLS]", "公园", "[SEP]"]


@pytest.mark.parametrize("change", ["add_tokens", "add_words", "truncation_side"])
def test_encodings_of_a_tokenizer_that_has_changed_raise(change):
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY)
    batch = tokenizer(["今天公园"])
    if change == "truncation_side":
        tokenizer.truncation_side = "left"
    else:
        getattr(tokenizer, change)(["新词"])
    with pytest.raises(RuntimeError, match="changed after this batch was encoded"):
        batch.word_ids(0)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda batch: pickle.loads(pickle.dumps(batch))])
def test_copies_of_a_batch_are_plain_batches_with_encodings(tokenizer, clone):
    batch = tokenizer(["今天公园", "公园"])
    twin = clone(batch)
    assert type(twin) is BatchEncoding
    assert twin.data == batch.data
    assert twin.word_ids(0) == [None, 0, 1, None]
    shallow = copy.copy(tokenizer(["今天公园"]))
    assert shallow.word_ids(0) == [None, 0, 1, None]


def test_a_replaced_post_processor_is_followed():
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY)
    tokenizer("今天")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A:0 [SEP]:1", pair="[CLS]:0 $A:0 $B:1", special_tokens=[("[SEP]", 3), ("[CLS]", 2)]
    )
    assert tokenizer("今天")["input_ids"] == [VOCABULARY["今天"], 3]
    assert tokenizer("今天")["token_type_ids"] == [0, 1]
    assert tokenizer("今天", "公园")["input_ids"] == [2, VOCABULARY["今天"], VOCABULARY["公园"]]


def test_the_word_tables_are_bounded(monkeypatch):
    monkeypatch.setattr("hf_ext.tokenization.word_pieces.MAX_WORDS", 8)
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY)
    backend = tokenizer.backend_tokenizer
    assert_equal(backend.encode_batch(SENTENCES), backend.tokenizer.encode_batch(SENTENCES), SENTENCES)
    assert len(backend.encoder._ids) <= 8
    assert len(backend.encoder._tokens) <= 8


def test_a_post_processor_that_swaps_the_texts_is_followed():
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A", pair="$B [SEP] $A", special_tokens=[("[SEP]", 3)]
    )
    assert tokenizer("今天", "公园")["input_ids"] == [VOCABULARY["公园"], 3, VOCABULARY["今天"]]
