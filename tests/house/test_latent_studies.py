"""The grammar of topics and templates, and how what a model writes from swapped and drawn codes is scored."""

import random
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies import latent_prior, latent_swaps, topic_grammar as grammar

EVERY = list(product(range(grammar.TOPICS), range(grammar.TEMPLATES)))


def test_each_sentence_tells_its_factors():
    chance = random.Random(1)
    texts = {factors: grammar.sentence(factors, chance) for factors in EVERY}
    assert {factors: grammar.factors_of(text) for factors, text in texts.items()} == {one: one for one in EVERY}
    ids = [word for text in texts.values() for word in text]
    assert max(ids) < grammar.VOCABULARY
    assert grammar.PADDING not in ids
    assert max(map(len, texts.values())) == grammar.LONGEST
    assert all(text.count(grammar.BEGIN) == text.count(grammar.END) == 1 for text in texts.values())


def test_slots_are_filled_by_chance_with_all_words_of_the_topic():
    chance = random.Random(2)
    texts = [grammar.sentence((3, 5), chance) for _ in range(200)]
    places = list(zip(*texts))
    assert sorted(len(set(place)) for place in places)[-2:] == [2, 2]
    assert sum(len(set(place)) > 1 for place in places) == 2


def test_parts_share_no_combination_but_every_topic_and_template():
    parts = {part: set(grammar.combinations(part)) for part in ("train", "dev", "test")}
    assert {part: len(found) for part, found in parts.items()} == {"train": 320, "dev": 40, "test": 40}
    assert set.union(*parts.values()) == set(EVERY)
    assert all({one[factor] for one in parts["train"]} == set(range(grammar.TOPICS)) for factor in (0, 1))
    drawn = grammar.sentences("dev", 300, random.Random(3))
    assert {grammar.factors_of(text) for text in drawn} <= parts["dev"]


def test_pairs_differ_in_both_factors():
    first, second = grammar.pairs("test", 200, random.Random(4))
    assert len(first) == len(second) == 200
    for one, other in zip(map(grammar.factors_of, first), map(grammar.factors_of, second)):
        assert one[0] != other[0]
        assert one[1] != other[1]


def test_what_is_no_sentence_has_no_factors():
    begin, *words, end = grammar.sentence((7, 11), random.Random(5))
    other = grammar.sentence((8, 11), random.Random(5))[1:-1]
    slots = [place for place, (word, another) in enumerate(zip(words, other)) if word != another]
    assert len(slots) == 2
    mixed = [*words]
    mixed[slots[0]] = other[slots[0]]
    for text, factors in {
        (begin, *words, end): (7, 11),
        (begin, *words, end, 0, 0): (7, 11),
        (begin, *words): (7, None),
        (begin, *words, *words, end): (7, None),
        (words[0], *words, end): (7, None),
        (begin, *mixed, end): (None, 11),
        (begin, end): (None, None),
        (): (None, None),
    }.items():
        assert (grammar.topic_of(text), grammar.template_of(text)) == factors
        assert (grammar.factors_of(text) is None) == (None in factors)


def test_a_batch_asks_for_all_but_the_first_token():
    batch = grammar.collate([{"input_ids": [1, 5, 2]}, {"input_ids": [1, 5, 6, 7, 2]}])
    assert batch["input_ids"].tolist() == [[1, 5, 2, 0, 0], [1, 5, 6, 7, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["labels"].tolist() == [[-100, 5, 2, -100, -100], [-100, 5, 6, 7, 2]]


def test_factors_that_a_swap_moves_are_counted_apart():
    chance = random.Random(6)
    second = [grammar.sentence(factors, chance) for factors in ((1, 1), (2, 2), (3, 3), (4, 4))]
    written = [grammar.sentence(factors, chance) for factors in ((1, 1), (2, 9), (9, 3), (9, 9))]
    assert latent_swaps.moved(written, second) == (0.5, 0.5)
    assert latent_swaps.moved([[], *written[1:]], second) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("alone", "expected"),
    [
        ([(0.0, 0.9), (0.8, 0.0)], 1.0),
        ([(0.9, 0.0), (0.0, 0.8)], -1.0),
        ([(0.4, 0.4), (0.4, 0.4)], 0.0),
        ([(0.0, 0.5), (0.0, 0.0), (0.5, 0.5)], 0.5),
        ([(1.0, 1.0)], ""),
        ([(0.0, 0.5), (0.0, 0.5)], ""),
    ],
)
def test_depth_of_the_topic_below_the_template(alone, expected):
    assert latent_swaps.topic_deeper(alone) == expected


def test_a_decoder_that_writes_the_same_covers_little(monkeypatch):
    chance = random.Random(7)
    same, other = grammar.sentence((1, 1), chance), grammar.sentence((2, 1), chance)
    monkeypatch.setattr(latent_prior, "write", lambda model, codes: [same] * 6 + [other] + [[1, 2]])
    found = latent_prior.written_from(SimpleNamespace(), torch.zeros(8, 4))
    assert found == {"grammatical": 7 / 8, "different": 2 / 8}


@pytest.mark.parametrize("on_sphere", [False, True])
def test_coverage_of_the_prior_itself_and_of_one_place(on_sphere):
    torch.manual_seed(0)
    codes = torch.randn(4000, 2, 16)
    place = torch.ones(4000, 2, 16) + 0.1 * codes
    spread, narrow = (
        latent_prior.coverage((F.normalize(each, dim=-1) if on_sphere else each).flatten(1), 16, on_sphere)
        for each in (codes, place)
    )
    assert spread["mean_moment"] < 0.03
    assert spread["second_moment"] == pytest.approx(1, abs=0.02)
    assert spread["uneven"] < 0.05
    assert narrow["mean_moment"] > 0.9
    # Of even directions: log E exp(-4 + 4 w), w the cosine of two of them.
    cosine = F.normalize(torch.randn(400000, 16), dim=-1)[:, 0]
    assert spread["uniformity"] == pytest.approx(float((-4 + 4 * cosine).exp().mean().log()), abs=0.02)
    assert narrow["uniformity"] > spread["uniformity"] + 2
