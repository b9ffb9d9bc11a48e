"""What the experiments on positions are made on: images, masked characters, and controls that know no positions."""

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import hf_ext
from studies import equal_inputs, image_positions, rotary_bases
from studies.image_positions import digits, marks, on_canvas, quarter


def test_marks_are_where_their_distances_say():
    """Each is the patch that is most like it."""
    grid = 5
    images, distances = marks(400, grid, torch.Generator().manual_seed(0))
    assert images.shape == (400, 1, 10, 10)
    patches = torch.nn.functional.unfold(images, 2, stride=2)
    first, second = ((mark.flatten() @ patches).argmax(-1) for mark in image_positions._MARKS)
    found = torch.stack((second // grid - first // grid, second % grid - first % grid), -1)
    # With this noise few are mistaken.
    assert (found == distances).all(-1).double().mean() > 0.97
    assert (distances != 0).all()
    assert set(distances.flatten().tolist()) == set(range(-4, 5)) - {0}
    counts = Counter(quarter(distances).tolist())
    assert sorted(counts) == [0, 1, 2, 3]
    assert min(counts.values()) > 70


def test_quarters():
    distances = torch.tensor([[-1, -3], [-2, 1], [4, -1], [1, 1]])
    assert quarter(distances).tolist() == [0, 1, 2, 3]


def test_images_lie_whole_on_their_canvas_patch_upon_patch():
    images = torch.rand(300, 1, 4, 2) + 0.1
    canvas = on_canvas(images, 8, torch.Generator().manual_seed(0))
    assert canvas.shape == (300, 1, 8, 8)
    places = set()
    for image, whole in zip(images, canvas):
        rows, columns = (whole[0].sum(1 - axis).nonzero().flatten() for axis in (0, 1))
        places.add((int(rows[0]), int(columns[0])))
        assert torch.equal(whole[:, rows[0] : rows[0] + 4, columns[0] : columns[0] + 2], image)
        torch.testing.assert_close(whole.sum(), image.sum())
    assert places == {(row, column) for row in (0, 2, 4) for column in (0, 2, 4, 6)}


def test_parts_of_the_digits_are_apart():
    parts = {part: digits(part) for part in ("train", "dev", "test")}
    assert [len(classes) for _, classes in parts.values()] == [1000, 300, 497]
    images = torch.cat([images for images, _ in parts.values()])
    assert images.shape[1:] == (1, 8, 8)
    assert (images.min(), images.max()) == (0, 1)
    assert len(images.flatten(1).unique(dim=0)) == len(images)


@pytest.mark.parametrize("task", [image_positions.digits_task, image_positions.marks_task])
def test_scores_of_one_who_does_not_look(task):
    """Whoever always says class 0 is right as often as it comes, and every measure of the table is there."""
    made = task(0)
    images, classes = made.batch()
    assert images.shape[1:] == (1, made.side, made.side)
    assert len(images) == len(classes) > 1
    assert set(classes.tolist()) <= set(range(made.classes))
    scores = made.scores(lambda shown: torch.zeros(len(shown), dtype=torch.long), "dev", 1000)
    assert scores["accuracy"] == pytest.approx(1 / made.classes, abs=0.05)
    assert scores["larger_2"] == pytest.approx(1 / made.classes, abs=0.05)
    experiment = {10: image_positions.DIGITS, 4: image_positions.MARKS}[made.classes]
    assert set(experiment.measures) <= scores.keys()


@pytest.mark.parametrize("side", image_positions.SIDES)
def test_only_the_control_sees_no_order_of_patches(side):
    torch.manual_seed(0)
    config = hf_ext.RoPEViTConfig(**image_positions._SIZES, **image_positions.SIDES[side], image_size=8, num_labels=3)
    model = hf_ext.RoPEViTForImageClassification(config).double().eval()
    if config.use_ape:
        torch.nn.init.normal_(model.rope_vit.pos_embed)
    patches = torch.randn(1, 16, 2, 2, dtype=torch.double)
    shown = [
        patches[:, order].view(1, 1, 4, 4, 2, 2).transpose(3, 4).reshape(1, 1, 8, 8)
        for order in (torch.arange(16), torch.randperm(16))
    ]
    with torch.no_grad():
        first, second = (model(images).logits for images in shown)
    assert torch.allclose(first, second, atol=1e-12) == (side == "none")


@pytest.mark.parametrize("side", rotary_bases.SIDES)
def test_only_the_control_sees_no_order_of_characters(side):
    torch.manual_seed(0)
    config = hf_ext.RoFormerConfig(**rotary_bases._SIZES, **rotary_bases.SIDES[side], vocab_size=50)
    model = hf_ext.RoFormerForMaskedLM(config).double().eval()
    rows, order = torch.randint(50, (2, 12)), torch.randperm(12)
    with torch.no_grad():
        plain, moved = (rotary_bases.states(model, ids, side) for ids in (rows, rows[:, order]))
    assert torch.allclose(plain[:, order], moved, atol=1e-10) == (side == "no positions")


def test_tokens_that_choose_a_rate_are_not_those_of_the_report():
    dev, test = (set(equal_inputs.scored_tokens(part).tolist()) for part in ("dev", "test"))
    assert dev & test == set()
    assert dev | test == set(range(2, 100))
