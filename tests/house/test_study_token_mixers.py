"""The study of token mixers, but for its training: sizes, what a bag is, batches, texts."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from transformers import DataCollatorForLanguageModeling

from hf_ext import build_char_tokenizer
from studies.sources import Sources
from studies.token_mixers import (
    ENCODERS,
    Reader,
    batches,
    encode,
    masked,
    padded,
    pretraining_rows,
    score_masked,
    scores,
)

TEXTS = ["甲乙丙丁戊己庚辛", "辛庚己", "戊丁丙乙甲乙"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_char_tokenizer(TEXTS)


def reader(name, tokenizer):
    torch.manual_seed(0)
    made = Reader(name, len(tokenizer)).eval()
    with torch.no_grad():
        # Far from the start, where gates and memories do next to nothing.
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    made.classifier = torch.nn.Linear(96, 3)
    return made


def test_blocks_have_one_number_of_parameters(tokenizer):
    sizes = {
        name: sum(weight.numel() for weight in reader(name, tokenizer).encoder.encoder.parameters())
        for name in ENCODERS
    }
    assert sizes.pop("bag") == 0
    assert len(sizes) == len(ENCODERS) - 1
    assert max(sizes.values()) < 1.01 * min(sizes.values())


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bag_and_external_attention_alone_do_not_see_the_order(name, tokenizer):
    rows = encode(tokenizer, [{"text": TEXTS[0]}, {"text": TEXTS[0][::-1]}])
    with torch.no_grad():
        there, back = reader(name, tokenizer).classes(padded(tokenizer, rows))
    assert torch.allclose(there, back, atol=1e-5) == (name in ("bag", "external"))


@pytest.mark.parametrize("name", ENCODERS)
def test_scores_are_those_of_each_row_alone_in_their_order(name, tokenizer):
    made, rows = reader(name, tokenizer), encode(tokenizer, [{"text": text} for text in TEXTS])
    with torch.no_grad():
        alone = torch.cat([made.classes(padded(tokenizer, [row])) for row in rows])
    torch.testing.assert_close(scores(made, tokenizer, rows), alone, atol=1e-4, rtol=1e-4)


def test_a_bag_says_the_same_of_all_places(tokenizer):
    batch = padded(tokenizer, encode(tokenizer, [{"text": TEXTS[0]}]))
    places = torch.ones_like(batch["input_ids"], dtype=torch.bool)
    told = {name: reader(name, tokenizer).characters(batch, places).detach() for name in ("bag", "external")}
    assert told["bag"].shape == (len(TEXTS[0]) + 2, len(tokenizer))
    torch.testing.assert_close(told["bag"], told["bag"][:1].expand_as(told["bag"]))
    assert not torch.allclose(told["external"], told["external"][:1].expand_as(told["external"]), atol=0.1)


def test_masked_characters_are_those_that_were_hidden(tokenizer):
    rows = encode(tokenizer, [{"text": text * 8} for text in TEXTS])
    mask = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.5, seed=0)
    logits, wanted = masked(reader("FNet", tokenizer), mask, rows)
    assert logits.shape == (len(wanted), len(tokenizer))
    assert 0 < len(wanted) < sum(len(row["input_ids"]) for row in rows)
    assert not set(wanted.tolist()) & set(tokenizer.all_special_ids)


def test_score_is_the_share_of_right_characters_under_the_same_masks(tokenizer):
    made, rows = reader("bag", tokenizer), encode(tokenizer, [{"text": text * 8} for text in TEXTS])
    always = tokenizer.convert_tokens_to_ids("乙")
    with torch.no_grad():
        made.bias[always] += 1000
    found = score_masked(made, tokenizer, rows)
    mask = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=0)
    _, wanted = masked(made, mask, rows)
    assert found["masked_accuracy"] == pytest.approx((wanted == always).double().mean().item())
    assert found == score_masked(made, tokenizer, rows)


def test_batches_have_each_row_once_and_rows_of_like_length():
    torch.manual_seed(0)
    rows = [{"input_ids": [0] * (1 + 7 * number % 60)} for number in range(1000)]
    drawn = list(batches(rows))
    assert sorted(number for batch in drawn for number in batch) == list(range(1000))
    assert max(map(len, drawn)) == 32
    spread = [max(lengths) - min(lengths) for batch in drawn if (lengths := [len(rows[i]["input_ids"]) for i in batch])]
    assert sum(spread) / len(spread) < 10
    assert drawn != list(batches(rows))


def test_pairs_are_cut_to_the_matrices_and_have_types(tokenizer):
    long, short = encode(tokenizer, [{"text": "甲" * 90, "text2": "乙丙"}, {"text": "甲", "text2": "乙丙"}])
    assert len(long["input_ids"]) == 64
    assert long["token_type_ids"][-3:] == [1, 1, 1]
    assert short["token_type_ids"] == [0, 0, 0, 1, 1, 1]


def test_held_out_texts_are_not_trained_on(tmp_path):
    tokenizer, rows = pretraining_rows(Sources(tmp_path))
    texts = {part: {tuple(row["input_ids"]) for row in found} for part, found in rows.items()}
    assert all(texts.values())
    assert not texts["train"] & (texts["dev"] | texts["test"])
    assert not texts["dev"] & texts["test"]
    assert max(len(row) for found in texts.values() for row in found) <= 64
    assert pretraining_rows(Sources(tmp_path))[0] is tokenizer


def test_pairs_of_inference_have_three_classes_in_parts_that_are_apart(shared, tmp_path):
    sources = Sources(tmp_path, shared / "data")
    parts = {part: sources.labelled("inference", part) for part in ("train", "dev", "test")}
    pairs = {part: {(one["text"], one["text2"]) for one in found} for part, found in parts.items()}
    assert {len({one["label"] for one in found}) for found in parts.values()} == {3}
    assert sum(map(len, pairs.values())) == len(set().union(*pairs.values()))
