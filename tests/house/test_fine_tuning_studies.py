"""The studies of methods of fine-tuning, but for their training: what is drawn, counted and measured."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from transformers import TrainingArguments

from hf_ext import RoFormerConfig, RoFormerForSequenceClassification
from hf_ext.losses import weissi_penalty
from hf_ext.training import ReplacementSchedule
from studies import adversarial, cloze, r_drop_entities, regularisers, theseus, virtual_adversarial
from studies.masked_encoder import texts_to_learn
from studies.pretraining_texts import reviews
from studies.sources import Sources, draw_of_each_class


def test_texts_are_drawn_as_many_of_each_class():
    examples = [{"text": str(number), "label": "abbb"[number % 4]} for number in range(40)]
    drawn, others = draw_of_each_class(examples, 7, seed=0)
    assert sorted(one["label"] for one in drawn) == ["a"] * 7 + ["b"] * 7
    assert sorted([*drawn, *others], key=lambda one: int(one["text"])) == examples
    assert draw_of_each_class(examples, 7, seed=0) == (drawn, others)
    assert draw_of_each_class(examples, 7, seed=1)[0] != drawn
    assert len(draw_of_each_class(examples, 20, seed=0)[0]) == 10 + 20


@pytest.mark.parametrize("texts", ["all", "reviews"])
def test_texts_that_are_scored_are_not_learnt(texts, shared, tmp_path):
    """Of the reviews that are scored, a sixth stand in training files of other data sets."""
    sources = Sources(tmp_path, shared / "data")
    known = set(texts_to_learn(sources, texts))
    train, dev, test = (
        {one["text"].strip() for one in sources.labelled("sentiment", part)} for part in ("train", "dev", "test")
    )
    assert len(known) > 4500
    assert texts == "all" or train - dev - test <= known
    assert len(set(reviews(shared / "data")) & test) > 50
    assert not known & (dev | test)
    assert not known & {one["text"] for one in sources.entities("weibo", "test")}


def test_noise_is_as_long_as_it_is_said_and_the_same_at_all_places_of_a_token(tmp_path):
    config = RoFormerConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    settings = TrainingArguments(tmp_path, use_cpu=True, report_to="none")
    trainer = adversarial.NoiseTrainer(RoFormerForSequenceClassification(config), settings, norm=0.7)
    tokens = torch.tensor([[2, 5, 5, 7], [7, 2, 0, 0]])
    noise = trainer._noise(tokens, torch.zeros(2, 4, 8))
    of_token = {token: noise[tokens == token] for token in (0, 2, 5, 7)}
    assert all(torch.equal(places, places[:1].expand_as(places)) for places in of_token.values())
    assert not of_token.pop(0).any()
    assert torch.stack([places[0] for places in of_token.values()]).norm() == pytest.approx(0.7)
    assert not torch.equal(trainer._noise(tokens, torch.zeros(2, 4, 8)), noise)


def test_strength_1_is_what_methods_begin_with():
    files = "train.jsonl", "dev.jsonl"
    found = {
        name: adversarial.make_job(name, 1.0, *files, model="encoder") for name in ("plain", "noise", "FGM", "penalty")
    }
    assert [found[name].adversarial for name in ("plain", "noise", "FGM", "penalty")] == [None, None, "fgm", "penalty"]
    assert found["FGM"].adversarial_epsilon == found["noise"].norm == 0.5
    assert found["penalty"].adversarial_epsilon == 1
    ((trainer, arguments),) = found["noise"].method_trainers()
    assert (trainer, arguments) == (adversarial.NoiseTrainer, {"norm": 0.5})
    assert not list(found["plain"].method_trainers())


@pytest.mark.parametrize(
    ("side", "seen"),
    [
        ("labels alone", {}),
        ("noise", {"vat_iterations": 0, "unlabelled_file": "more"}),
        ("VAT, labelled texts alone", {"vat_xi": 1.5}),
        ("VAT", {"vat_xi": 1.5, "unlabelled_file": "more"}),
    ],
)
def test_sides_of_virtual_adversarial_training(side, seen):
    both = {"adversarial": "vat", "adversarial_epsilon": 0.3} if seen else {}
    assert virtual_adversarial.options_of(side, 0.3, "more") == both | seen


@pytest.mark.parametrize("layers", [3, 2])
def test_epochs_of_the_same_time_run_as_many_layers(layers):
    """Eight epochs of six layers, and eight more: in two thirds of these half of the modules are the deep one's."""
    modules = [(6 / layers if number % 2 else 1) for number in range(2 * layers)]
    after = 8 * (2 * sum(modules) / 2 + layers) / 3
    assert layers * theseus.epochs_of_same_time(layers) == pytest.approx(8 * 6 + after, abs=0.05 * layers)


def test_linear_replacement_ends_where_the_constant_one_does():
    of_side = {side: theseus.replacement_of(side) for side in theseus.SIDES[3:]}
    schedules = {
        side: ReplacementSchedule(*(given.get(f"replacement_{name}") for name in ("rate", "slope", "steps")))
        for side, given in of_side.items()
    }
    rates = {side: [one.rate_after(step, 600) for step in (0, 399, 401, 599)] for side, one in schedules.items()}
    assert rates["trained alone"] == [1, 1, 1, 1]
    assert rates["Theseus, 0.5"] == [0.5, 0.5, 1, 1]
    assert rates["Theseus, linear"] == [0.3, pytest.approx(0.3 + 0.7 * 399 / 400), 1, 1]


def test_exchanged_words_are_those_of_the_other_class():
    assert cloze.words_of("P1") == {"0": "不", "1": "很"}
    assert cloze.words_of("P1, words exchanged") == {"0": "很", "1": "不"}


def test_softmax_divergence_is_that_of_each_row_and_type():
    torch.manual_seed(0)
    first, second = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64).unbind()
    out = torch.ones(4, 4).tril(-1).bool()
    first, second = first.masked_fill(out, -torch.inf), second.masked_fill(out, -torch.inf)
    expected = []
    for row in range(2):
        for kind in range(3):
            p, q = first[row, kind][~out].softmax(0), second[row, kind][~out].softmax(0)
            expected.append(((p - q) * (p / q).log()).sum())
    found = r_drop_entities.softmax_divergence(first, second)
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_angles_are_of_all_pairs():
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [1.0, 1.0]])
    assert regularisers.angles_of(rows).tolist() == pytest.approx([90, 180, 45, 90, 45, 135], abs=0.1)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_products_are_before_the_bias(batch_norm):
    torch.manual_seed(0)
    model = regularisers.Perceptron(batch_norm).eval()
    images = torch.rand(5, 64)
    expected = images
    for norm, linear in zip(model.norms, model.linears):
        expected = linear(norm(expected.relu()))
    torch.testing.assert_close(model(images), expected)
    products = model.products(images)
    torch.testing.assert_close(products[0], model.linears[0](model.norms[0](images)) - model.linears[0].bias)
    assert [tuple(product.shape) for product in products] == [(5, 64), (5, 64), (5, 10)]


def test_both_terms_of_weissi_have_gradients_of_one_length_at_the_start():
    torch.manual_seed(0)
    for matrix in regularisers.Perceptron(False).matrices[:2]:
        lengths = []
        for term in ({}, {"scale": 0.0, "sparsity": 0.03}):
            (gradient,) = torch.autograd.grad(weissi_penalty(matrix, **term), matrix)
            lengths.append(gradient.norm().item())
        assert lengths[0] == pytest.approx(lengths[1], rel=0.15)


def test_gradient_at_the_pixels_is_the_mean_of_each_image(monkeypatch):
    torch.manual_seed(0)
    model, images, classes = regularisers.Perceptron(False), torch.rand(4, 1, 8, 8), torch.tensor([3, 1, 4, 1])
    monkeypatch.setattr(regularisers, "digits", lambda part: (images, classes))
    lengths = []
    for image, number in zip(images.flatten(1), classes):
        pixels = image[None].requires_grad_()
        torch.nn.functional.cross_entropy(model(pixels), number[None]).backward()
        lengths.append(pixels.grad.norm().item())
    assert regularisers.input_gradient(model, "test") == pytest.approx(sum(lengths) / 4)


def test_accuracy_in_training_is_of_the_images_that_were_learnt(monkeypatch):
    black = torch.zeros(4, 1, 8, 8)
    parts = {"train": (black, torch.tensor([0, 0, 1, 1])), "test": (black[:2], torch.tensor([0, 1]))}
    monkeypatch.setattr(regularisers, "digits", parts.get)
    model = regularisers.Perceptron(False)
    with torch.no_grad():
        model.linears[-1].bias[0] += 1000
    found = regularisers.accuracies(model, {"part": "test", "images": 2})
    assert found == {"accuracy": 0.5, "accuracy_in_training": 1}
