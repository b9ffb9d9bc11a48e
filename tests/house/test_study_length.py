"""What the experiments on length are made of: the pieces that are scored, scores with log n and without, positions."""

import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hf_ext import RoFormerForMaskedLM
from studies import log_n, random_positions
from studies.sources import Sources

CHARACTERS = 30


def model(**fields):
    torch.manual_seed(0)
    made = RoFormerForMaskedLM(log_n.config(CHARACTERS, fields)).eval()
    # Scores of a fresh model are so small that a factor of theirs would hardly show.
    log_n.scale_scores(made, 3.0)
    return made


def rows(length, count=2):
    chance = torch.Generator().manual_seed(length)
    return torch.randint(3, CHARACTERS, (count, length), generator=chance)


def scored(made, ids):
    with torch.no_grad():
        return log_n.predictions(made, ids, torch.arange(ids.shape[1]).expand_as(ids) % 3 == 0)


def test_pieces_are_of_one_document_and_parts_apart(monkeypatch, tmp_path):
    """Documents are a character each, over and over."""
    documents = [chr(ord("a") + number) * (40 if number == 0 else 520 + 100 * number) for number in range(20)]
    monkeypatch.setattr(log_n, "judgements", lambda _: list(documents))
    texts = log_n.corpus(Sources(tmp_path, tmp_path))
    pieces = texts.train[texts.starts[:, None] + torch.arange(log_n.TRAINED)]
    assert bool((pieces == pieces[:, :1]).all())
    lengths = texts.train.bincount(minlength=texts.characters)
    assert int((lengths > 0).sum()) == 14
    assert len(texts.starts) == int((lengths - log_n.TRAINED + 1).clamp(min=0).sum())
    for part, count in ((texts.dev, 2), (texts.test, 4)):
        # A character of no training document is unknown.
        assert part.shape[1] == log_n.LENGTHS[-1]
        assert len(part) >= count - 1
        assert bool((part == 1).all())


def test_log_n_is_a_factor_of_one_at_the_length_of_training():
    ids = rows(log_n.TRAINED)
    for side in log_n.SIDES.values():
        if "attention_window" not in side.test:
            assert torch.equal(scored(model(**side.test), ids), scored(model(), ids))


@pytest.mark.parametrize("length", [20, 128, 256])
def test_scaled_queries_undo_log_n(length):
    ids = rows(length)
    divided = model(log_n="always")
    log_n.scale_scores(divided, math.log(log_n.TRAINED) / math.log(length))
    torch.testing.assert_close(scored(divided, ids), scored(model(), ids), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(scored(model(log_n="always"), ids), scored(model(), ids), atol=1e-3)


def test_the_same_characters_are_asked_at_each_length(monkeypatch):
    asked = {}

    def seen(_, ids, where):
        asked.setdefault(ids.shape[1], []).append((ids.flatten(), where.flatten()))
        return torch.nn.functional.one_hot(ids[where], CHARACTERS)

    monkeypatch.setattr(log_n, "predictions", seen)
    pieces = rows(512, count=11)
    assert [log_n.accuracy(model(), pieces, length) for length in log_n.LENGTHS] == [1.0] * 4
    found = [[torch.cat(each) for each in zip(*asked[length])] for length in log_n.LENGTHS]
    for ids, where in found:
        assert torch.equal(ids, pieces.flatten())
        assert torch.equal(where, found[0][1])
    assert 0.13 < found[0][1].double().mean() < 0.17


def test_masked_characters_are_hidden():
    made, ids = model(), rows(64)
    where = torch.arange(64).expand_as(ids) % 3 == 0
    assert torch.equal(scored(made, ids), scored(made, ids.masked_fill(where, 5)))


@pytest.mark.parametrize("side", random_positions.SIDES)
@pytest.mark.parametrize("training", [True, False])
def test_positions_of_each_side(side, training):
    positions = random_positions.SIDES[side].positions
    found = random_positions.batch("reverse", 8, 20, positions, training=training)
    assert found["input_ids"].shape == found["labels"].shape == (8, 40)
    even = positions is not None and positions.get("evaluation") == "even"
    if positions is None or not (training or even):
        assert "position_ids" not in found
        return
    places = found["position_ids"]
    # Else equal places would begin a document.
    assert bool(found["attention_mask"].all())
    assert bool((places.diff() > 0).all())
    assert (len(places.unique(dim=0)) == 1) == (not training)
    if even:
        assert float(places.max()) <= 255
    if side == "shift":
        assert bool((places.diff() == 1).all())


def test_shifted_places_change_nothing():
    """That the control is one: a rotation knows distances alone."""
    made = model()
    ids = rows(30)
    ones = torch.ones_like(ids)
    plain, shifted = (
        made(ids, attention_mask=ones, position_ids=torch.arange(first, first + 30)[None]).logits for first in (0, 200)
    )
    torch.testing.assert_close(plain, shifted, atol=1e-4, rtol=1e-4)


def test_longest_row_has_the_answer():
    found = {task: random_positions.longest_row(task) for task in ("reverse", "bucket_sort", "even_pairs")}
    assert found == {"reverse": 40, "bucket_sort": 40, "even_pairs": 21}


def test_majority_is_the_share_of_the_commonest_answer():
    class Right(torch.nn.Module):
        def forward(self, input_ids, **_):
            # The text backwards stands at the blanks.
            answers = torch.cat((input_ids[:, :5], input_ids[:, :5].flip(1)), 1) - 1
            return type("Output", (), {"logits": torch.nn.functional.one_hot(answers, 2).float()})

    torch.manual_seed(0)
    right, majority = random_positions.accuracies(Right(), "reverse", 64, 5, None)
    torch.manual_seed(0)
    labels = random_positions.batch("reverse", 64, 5, None, training=False)["labels"]
    ones = int((labels == 1).sum())
    assert right == 1.0
    assert majority == pytest.approx(max(ones, 320 - ones) / 320)
