"""The rows of choices, beside the rules applied one character or token at a time."""

import random

import pytest
import torch

from hf_ext import build_char_tokenizer
from hf_ext.tasks.multiple_choice import ChoiceEncoder, DataCollatorForChoices
from hf_ext.tasks.multiple_choice.encoding import fit_sides, longest_first
from hf_ext.tokenization import CharacterWordPieceTokenizer

TOKENIZER = build_char_tokenizer(["春夏秋冬来去今天一二三四五六七八九十无效答案"])


def shown(ids, tokenizer=TOKENIZER):
    return tokenizer.convert_tokens_to_string(tokenizer.convert_ids_to_tokens(ids)).replace(" ", "")


def naive_lengths(lengths, room):
    parts = [list(range(length)) for length in lengths]
    while sum(map(len, parts)) > room:
        longest = max(parts, key=len)
        longest.pop()
    return [len(part) for part in parts]


@pytest.mark.parametrize("seed", range(30))
def test_the_longest_part_is_cut(seed):
    rng = random.Random(seed)
    lengths = [rng.randrange(20) for _ in range(rng.choice((2, 3)))]
    room = rng.randrange(30)
    assert longest_first(lengths, room) == naive_lengths(lengths, room)


def naive_sides(left, right, room):
    """A □ is another blank, which is worth four characters."""

    def size(side):
        return len(side) + 3 * side.count("□")

    while size(left) + size(right) > room:
        if len(left.replace("□", "")) > len(right.replace("□", "")) or not right:
            left = left[1:] if left[0] == "□" else left[1:].removeprefix("□")
        else:
            right = right[:-1] if right[-1] == "□" else right[:-1].removesuffix("□")
    return left, right


@pytest.mark.parametrize("seed", range(100))
def test_sides_are_cut_from_outside(seed):
    rng = random.Random(seed)
    left, right = ("".join(rng.choice("甲乙丙丁□") for _ in range(rng.randrange(20))) for _ in range(2))
    room = rng.randrange(45)
    found = fit_sides(left.split("□"), right.split("□"), room)
    assert tuple("□".join(side) for side in found) == naive_sides(left, right, room)


@pytest.mark.parametrize(
    ("left", "right", "room", "wanted"),
    [
        ("一二三四五", "六七八九", 5, ("三四五", "六七")),
        ("一二", "三四", 3, ("一二", "三")),
        ("甲□乙丙", "丁", 7, ("乙丙", "丁")),
        ("□甲", "□乙", 2, ("甲", "")),
        ("", "", 0, ("", "")),
    ],
)
def test_sides_by_hand(left, right, room, wanted):
    assert tuple("□".join(side) for side in fit_sides(left.split("□"), right.split("□"), room)) == wanted


def test_rows_of_a_question():
    example = {"text": "一二三四五六七八九十", "question": "今天", "choices": ["春", "夏天来"]}
    rows = ChoiceEncoder(TOKENIZER, 12)([example, {"text": "一二", "choices": ["春"]}])
    assert [shown(row) for row in rows[0]] == [
        "[CLS]一二三四五[SEP]今天[SEP]春[SEP]",
        "[CLS]一二三[SEP]今天[SEP]夏天来[SEP]",
    ]
    assert [shown(row) for row in rows[1]] == ["[CLS]一二[SEP]春[SEP]"]


@pytest.mark.parametrize("special", [True, False], ids=["unused1", "mask"])
def test_rows_of_a_blank(special):
    tokenizer = TOKENIZER
    if special:
        vocabulary = TOKENIZER.get_vocab()
        tokenizer = CharacterWordPieceTokenizer(vocab={**vocabulary, "[unused1]": len(vocabulary)})
    text = "一二三#idiom07#四五#idiom000123#六七八九十"
    example = {"text": text, "blank": "#idiom000123#", "choices": ["春夏秋冬", "来来去去"]}
    asked = "[unused1]" if special else "[MASK]"
    (rows,) = ChoiceEncoder(tokenizer, 64)([example])
    assert [shown(row, tokenizer) for row in rows] == [
        f"[CLS]{idiom}[SEP]一二三{'[MASK]' * 4}四五{asked}六七八九十[SEP]" for idiom in example["choices"]
    ]
    # Room for 14 of the 10 characters and a blank of four: none is cut; with one less the side with more gives.
    (rows,) = ChoiceEncoder(tokenizer, 22)([example])
    assert len(rows[0]) == 22
    (rows,) = ChoiceEncoder(tokenizer, 21)([example])
    assert shown(rows[0], tokenizer) == f"[CLS]春夏秋冬[SEP]一二三{'[MASK]' * 4}四五{asked}六七八九[SEP]"
    (rows,) = ChoiceEncoder(tokenizer, 15)([example])
    assert shown(rows[0], tokenizer) == f"[CLS]春夏秋冬[SEP]四五{asked}六七[SEP]"


def test_rows_are_never_longer_than_they_may():
    for length in range(8, 30):
        example = {"text": "一2#idiom1#三4五6#idiom2#七八九#idiom3#十", "blank": "#idiom2#", "choices": ["春来", "夏"]}
        (rows,) = ChoiceEncoder(TOKENIZER, length)([example])
        assert max(map(len, rows)) <= length


def test_padding_with_a_choice():
    example = {"text": "一", "choices": ["春", "夏", "秋"]}
    for number, wanted in ((2, ["春", "夏"]), (4, ["春", "夏", "秋", "无效答案"])):
        encoder = ChoiceEncoder(TOKENIZER, 64, number, "无效答案")
        assert encoder.choices_of(example) == wanted
        assert [shown(row) for row in encoder([example])[0]] == [f"[CLS]一[SEP]{one}[SEP]" for one in wanted]


def test_batches():
    collate = DataCollatorForChoices(ChoiceEncoder(TOKENIZER, 64))
    examples = [{"text": "一二", "choices": ["春", "夏来"], "label": 1}, {"text": "三", "choices": ["秋"]}]
    batch = collate(examples)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "input_ids": (2, 2, 7),
        "attention_mask": (2, 2, 7),
        "labels": (2,),
    }
    assert batch["labels"].tolist() == [1, -100]
    # A choice that is not there is a first token alone.
    assert batch["attention_mask"].sum(-1).tolist() == [[6, 7], [5, 1]]
    assert (batch["input_ids"][:, :, 0] == TOKENIZER.cls_token_id).all()
    assert torch.equal(batch["input_ids"] == TOKENIZER.pad_token_id, batch["attention_mask"] == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 7}, "max_length must be at least 8, got 7"),
        ({"num_choices": 4}, "num_choices and padding_choice must be given together, got 4 and None"),
        ({"num_choices": 1, "padding_choice": "x"}, "num_choices must be at least 2, got 1"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        ChoiceEncoder(TOKENIZER, **options)
    with pytest.raises(ValueError, match="max_length must leave room for the choices and a blank, got 1 too little"):
        ChoiceEncoder(TOKENIZER, 8)([{"text": "#idiom1#", "blank": "#idiom1#", "choices": ["一二三四五"]}])
