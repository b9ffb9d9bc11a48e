"""Batches of clozes: what is predicted of them, and what is never masked at random."""

import re

import pytest
import torch

from hf_ext import build_char_tokenizer
from hf_ext.tasks.cloze import ClozeEncoder, ClozePattern, DataCollatorForCloze, encode_unlabelled

TOKENIZER = build_char_tokenizer(["去北京上海很不，甲乙丙丁戊己庚辛"])
MASK = TOKENIZER.mask_token_id
PATTERN = ClozePattern("去{mask}，{text}", {"a": "北京", "b": "上海"})
ENCODER = ClozeEncoder(PATTERN, TOKENIZER, 64)
EXAMPLES = [{"text": "甲乙丙丁", "label": "b"}, {"text": "戊己庚辛甲乙", "label": "a"}, {"text": "甲[MASK][SEP]乙"}]
ROWS = ENCODER(EXAMPLES)
UNLABELLED = list(encode_unlabelled([{"text": "甲乙丙丁戊己庚辛"}], PATTERN, TOKENIZER, 64))


def batch(rows=None, **options):
    torch.manual_seed(0)
    return DataCollatorForCloze(TOKENIZER, **options)(ROWS if rows is None else rows)


def test_without_random_masking_the_words_alone_are_predicted():
    made = batch(words=ENCODER.words, mlm_probability=0.0)
    assert set(made) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    for line, row in enumerate(ROWS):
        length = len(row["input_ids"])
        assert made["input_ids"][line, :length].tolist() == row["input_ids"]
        assert made["attention_mask"][line].tolist() == [1] * length + [0] * (made["labels"].shape[1] - length)
    wanted = torch.full_like(made["labels"], -100)
    for line, word in enumerate(("上海", "北京")):
        wanted[line, 2:4] = torch.tensor(TOKENIZER.convert_tokens_to_ids(list(word)))
    # Of the third the label is not known.
    assert made["labels"].equal(wanted)


@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_random_masking_spares_masks_special_tokens_and_padding(probability):
    made = batch(ROWS * 50, words=ENCODER.words, mlm_probability=probability)
    for line, row in enumerate(ROWS * 50):
        ids, labels = made["input_ids"][line].tolist(), made["labels"][line].tolist()
        own, spared = row["input_ids"], row["spared"]
        for place, (now, label) in enumerate(zip(ids, labels)):
            if place >= len(own):
                assert (now, label) == (TOKENIZER.pad_token_id, -100)
            elif place in row["mask_places"]:
                assert now == MASK
            elif spared[place]:
                assert (now, label) == (own[place], -100)
            else:
                assert label in (-100, own[place])
                assert label != -100 or now == own[place]
                assert now == own[place] or now not in set(TOKENIZER.all_special_ids) - {MASK}
    free = torch.tensor([one for row in ROWS for one in row["spared"]]).logical_not().sum() * 50
    masked = (made["labels"] != -100).sum() - 2 * 2 * 50
    assert float(masked / free) == pytest.approx(probability, abs=0.06)


def test_of_the_chosen_tokens_most_become_masks():
    made = batch(UNLABELLED * 500, mlm_probability=1.0)
    ids, labels = made["input_ids"][:, 1:-1], made["labels"][:, 1:-1]
    assert float((ids == MASK).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((ids == labels).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_labels_come_by_number_and_texts_without_a_pattern_alone_are_masked():
    made = batch([*ROWS, *UNLABELLED], predicts="labels", mlm_probability=1.0)
    assert made["labels"].tolist() == [1, 0, -100, -100]
    assert made["mask_places"].tolist() == [[2, 3]] * 3 + [[-1, -1]]
    for line, row in enumerate(ROWS):
        assert made["input_ids"][line, : len(row["input_ids"])].tolist() == row["input_ids"]
    assert (made["token_labels"][:3] == -100).all()
    assert made["token_labels"][3].tolist()[1:9] == UNLABELLED[0]["input_ids"][1:9]
    assert "token_labels" not in batch(predicts="labels", mlm_probability=1.0)
    assert "token_labels" not in batch(UNLABELLED, predicts="labels", mlm_probability=0.0)


def test_a_row_brings_another_along():
    made = batch([{**row, "unlabelled": UNLABELLED[0]} for row in ROWS], predicts="labels")
    assert len(made["input_ids"]) == 6
    assert made["labels"].tolist() == [1, 0] + [-100] * 4
    assert (made["mask_places"][3:] == -1).all()


def test_rows_may_have_words_of_their_own():
    encoder = ClozeEncoder(ClozePattern("{text}", blank="#", candidates="c"), TOKENIZER, 64)
    rows = encoder(
        [{"text": "去#，甲", "c": ["北京", "上海", "甲乙"], "label": "2"}, {"text": "#", "c": ["北京", "丙丁"]}]
    )
    made = batch(rows, predicts="labels", mlm_probability=0.0)
    assert made["words"].shape == (2, 3, 1, 2)
    assert made["words"][1, 2].tolist() == [[-1, -1]]
    assert made["words"][0, 2, 0].tolist() == TOKENIZER.convert_tokens_to_ids(["甲", "乙"])
    assert made["mask_places"].tolist() == [[2, 3], [1, 2]]
    made = batch(rows, mlm_probability=0.0)
    assert made["labels"][0, 2:4].tolist() == TOKENIZER.convert_tokens_to_ids(["甲", "乙"])
    assert (made["labels"][1] == -100).all()


def test_chance_is_that_of_the_generator():
    made = [
        DataCollatorForCloze(TOKENIZER, ENCODER.words, generator=torch.Generator().manual_seed(seed))(ROWS * 9)
        for seed in (0, 0, 1)
    ]
    assert made[0]["labels"].equal(made[1]["labels"])
    assert not made[0]["labels"].equal(made[2]["labels"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predicts": "tokens"}, 'predicts must be "words" or "labels", got \'tokens\''),
        ({"mlm_probability": 1.5}, "mlm_probability must be between 0 and 1, got 1.5"),
        ({"words": torch.zeros(2, 2, 1)}, "a label must have one word to be predicted as such, got up to 2"),
    ],
)
def test_what_cannot_be_predicted_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DataCollatorForCloze(TOKENIZER, **options)


def test_rows_must_be_encoded():
    with pytest.raises(ValueError, match="rows must have mask_places and spared, got"):
        batch([{"input_ids": [1, 2], "labels": 0}])
    with pytest.raises(ValueError, match="words must be given, the tokens of the labels' words"):
        batch(ROWS)
