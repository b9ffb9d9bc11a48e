"""The character models of the study: their texts, the rows that they read, and how they are scored."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F
from transformers import set_seed

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hf_ext import RoFormerConfig, RoFormerForCausalLM
from studies import character_lm, length_at_test, length_in_training
from studies.sources import Sources

LENGTH = character_lm.LENGTH


def test_long_texts_are_held_out(tmp_path):
    found = character_lm.read_characters(Sources(tmp_path))
    assert found.dev.shape == found.test.shape
    assert found.dev.shape[0] > 0
    assert found.dev.shape[1] == 8 * LENGTH
    ids = torch.cat((found.train, found.dev.flatten(), found.test.flatten()))
    assert ids.min() >= 1
    assert ids.max() < character_lm.SIZES["vocab_size"]
    inside = {tuple(found.train[first : first + 64].tolist()) for first in range(len(found.train) - 63)}
    ends = [tuple(row[-64:].tolist()) for row in (*found.dev, *found.test)]
    assert len(set(ends)) == len(ends)
    assert not inside & set(ends)


def test_rows_of_training_are_pieces_of_the_text_and_passages_pasted():
    stream = torch.arange(1000) * 7
    rows = character_lm.training_rows(stream, 40, 20)
    assert rows.shape == (40, LENGTH)
    steps = rows.diff(dim=1)
    assert bool((steps[20:] == 7).all())
    periods = set()
    for row, step in zip(rows[:20], steps[:20]):
        period = int((step != 7).nonzero()[0]) + 1
        assert torch.equal(row[period:], row[:-period])
        periods.add(period)
    assert len(periods) > 5
    assert min(periods) >= 8
    assert max(periods) <= 48


def test_the_last_place_of_a_text_is_drawn():
    stream = torch.arange(LENGTH + 1)
    rows = character_lm.training_rows(stream, 64, 0)
    assert {int(row[0]) for row in rows} == {0, 1}


@pytest.mark.parametrize("times", [1, 4, 8])
def test_rows_to_score_end_alike(times):
    ends = torch.arange(3 * 8 * LENGTH).view(3, -1)
    plain, repeated = (character_lm.test_rows(ends, kind, times) for kind in ("plain", "repeated"))
    assert plain.shape == repeated.shape == (3, times * LENGTH)
    assert bool((plain.diff(dim=1) == 1).all())
    assert torch.equal(plain[:, -LENGTH:], ends[:, -LENGTH:])
    assert torch.equal(repeated[:, -LENGTH:], ends[:, -LENGTH:])
    if times > 1:
        assert torch.equal(repeated[:, 96:], repeated[:, :-96])


class Copies:
    """In place of a model: it is nearly sure of the character after the last one that is 96 places back."""

    def __call__(self, input_ids, logits_to_keep, use_cache):
        ahead = F.pad(input_ids, (95, 0))[:, : input_ids.shape[1]]
        return SimpleNamespace(logits=100.0 * F.one_hot(ahead[:, -logits_to_keep:], 700).float())


def test_score_of_what_copies():
    """Only what is repeated is right; a character that is rare is not asked for."""
    torch.manual_seed(0)
    ends = torch.stack([torch.randperm(698)[: 8 * LENGTH] + 2 for _ in range(17)])
    found = character_lm.score(Copies(), ends)
    assert set(found) == {*character_lm.MEASURES, *(f"{measure}_loss" for measure in character_lm.MEASURES)}
    assert [found[measure] for measure in character_lm.MEASURES] == [0, 0, 0, 1, 1]
    assert found["repeated_8x_loss"] == pytest.approx(0, abs=1e-6)
    assert found["plain_8x_loss"] == pytest.approx(100)
    # Right as copies, these would count if they were asked for.
    spoilt = ends.clone()
    spoilt[:, -16:] = spoilt[:, -112:-96] = 1
    assert character_lm.score(Copies(), spoilt)["plain_8x"] == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of two steps, and texts that it has not seen."""
    sources = Sources(tmp_path_factory.mktemp("characters"))
    characters = character_lm.read_characters(sources)
    return length_at_test.trained_model(characters, 0, 2, sources), characters


# What reads short texts as if nothing were said.
SAME = {"none", "ReRoPE, N", "window, N"}


@pytest.mark.parametrize("side", length_at_test.SIDES)
def test_ways_to_read_long_texts(side, trained):
    folder, characters = trained
    models = [
        RoFormerForCausalLM.from_pretrained(folder, **fields).eval() for fields in ({}, length_at_test.SIDES[side])
    ]
    for times in (1, 8):
        rows = character_lm.test_rows(characters.test[:1], "plain", times)
        with torch.no_grad():
            plain, found = (model(input_ids=rows).logits for model in models)
        same = torch.allclose(plain, found, atol=1e-5)
        assert same == (side == "none" or (times == 1 and side in SAME))


def test_models_of_a_seed_are_alike_and_made_once(trained, tmp_path):
    folder, characters = trained
    set_seed(5)
    again = length_at_test.trained_model(characters, 0, 2, Sources(tmp_path))
    assert length_at_test.trained_model(characters, 0, 2, Sources(tmp_path)) == again
    weights = [RoFormerForCausalLM.from_pretrained(one).state_dict() for one in (folder, again)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_windows_reach_three_quarters_of_the_length():
    reach = [
        (window - 1) * (character_lm.LAYERS - 1) + 1
        for window in (length_in_training.WINDOW, length_in_training.WINDOW + 1)
    ]
    assert reach[0] <= LENGTH * 3 / 4 < reach[1]


def test_sides_of_training_have_equal_parameters():
    with torch.device("meta"):
        counts = {
            RoFormerForCausalLM(RoFormerConfig(**character_lm.SIZES, **fields)).num_parameters()
            for fields in length_in_training.SIDES.values()
        }
    assert len(counts) == 1
