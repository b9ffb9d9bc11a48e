"""Rows of pairs made from parts are those that the tokenizer makes."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_ext import build_char_tokenizer
from hf_ext.tokenization import JiebaWordPieceTokenizer
from hf_ext.tokenization.pair_windows import _template, encode_pair_windows, encode_pair_windows_readable

CONTEXT = "林一舟于 1990年生于江口, wrote 《长河》。\n何远　写了春江 ！"
FIRSTS = ["哪年？", "谁写了 长河？", "", "哪年？", "Who?"]
SECONDS = [CONTEXT, CONTEXT, "", " 何远 ", CONTEXT * 3]


def characters(**options):
    return build_char_tokenizer([CONTEXT, *FIRSTS], **options)


def words():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = dict.fromkeys([*special, "长河", "哪年", *CONTEXT.replace(" ", "")])
    return JiebaWordPieceTokenizer({entry: index for index, entry in enumerate(vocabulary)})


def byte_level(processor=None):
    pieces = {piece: index for index, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=pieces, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    if processor is not None:
        backend.post_processor = processor
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="!")


def swapped():
    tokenizer = characters()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$B:1 [SEP]:1 $A:0", special_tokens=[("[SEP]", tokenizer.sep_token_id)]
    )
    return tokenizer


def with_one_more_input():
    tokenizer = characters()
    tokenizer.model_input_names = [*tokenizer.model_input_names, "special_tokens_mask"]
    return tokenizer


# And whether their rows are made from parts.
TOKENIZERS = {
    "characters": (characters, True),
    "words": (words, True),
    "two inputs": (lambda: characters(model_input_names=["input_ids", "attention_mask"]), True),
    "nothing added": (byte_level, True),
    "trimmed": (lambda: byte_level(processors.RobertaProcessing(("!", 0), ("!", 0))), False),
    "cut on the left": (lambda: characters(truncation_side="left"), False),
    "second text first": (swapped, False),
    "another input": (with_one_more_input, False),
}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(("max_length", "stride"), [(64, 16), (23, 0), (24, 7), (512, 128)])
def test_rows_are_the_tokenizers(name, max_length, stride):
    make, from_parts = TOKENIZERS[name]
    assert (_template(make()) is not None) == from_parts
    if name in ("nothing added", "trimmed"):
        # Three tokens a character.
        max_length *= 3
    made = encode_pair_windows(make(), FIRSTS, SECONDS, max_length, stride)
    wanted = encode_pair_windows_readable(make(), FIRSTS, SECONDS, max_length, stride)
    assert made == wanted
    assert len(made["owner"]) > len(FIRSTS) or max_length >= 512
    # A window more or less, where the text just fits.
    for longer in range(max_length, max_length + 5):
        one = (make(), FIRSTS[:1], SECONDS[:1], longer, stride)
        assert encode_pair_windows(*one) == encode_pair_windows_readable(*one)
        assert encode_pair_windows(*one, step=3) == encode_pair_windows_readable(*one, step=3)


def test_a_first_text_without_room_for_the_second_is_the_tokenizers_affair():
    with pytest.raises(Exception, match="Sequence to truncate too short"):
        encode_pair_windows(characters(), ["哪年？" * 9], [CONTEXT], 16, 1)


def test_no_pairs():
    assert encode_pair_windows(characters(), [], [], 16, 1)["input_ids"] == []
