"""The articles' optimiser: worked numbers, a twin in NumPy, lower precision, checkpoints, and Trainers that use it."""

import copy
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs_tiny import JOBS
from method_runs import ROWS, run, write_start
from torch import nn
from trainer_runs import descent
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

from hf_ext.losses import for_trainer
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.training import ArticleOptimizerTrainer, UnfactoredAdafactor, unfactored_adafactor
from hf_ext.training.article_optimizer import ARTICLE_ARGUMENTS

P = [[0.5, -0.2, 0.1], [0.3, 0.0, -0.4]], [0.0, 0.0, 0.0]
GRADIENTS = (
    ([[0.1, -0.2, 0.3], [0.0, 0.05, -0.1]], [0.1, -0.3, 0.2]),
    ([[-0.1, 0.2, 0.1], [0.3, 0.0, 0.2]], [0.2, 0.1, -0.4]),
)
WORKED = (
    (
        [[0.499984862, -0.199984862, 0.0999848617], [0.3, -1.51382518e-5, -0.399984862]],
        [-5e-8, 5e-8, -5e-8],
    ),
    (
        [[0.499986376, -0.199986376, 0.0999640254], [0.299980026, -2.87622284e-5, -0.399989585]],
        [-1.5400024e-7, 7.18063951e-8, -3.59997598e-8],
    ),
)


class Twin:
    """A parameter and its optimiser, number by number."""

    def __init__(self, value):
        self.p = np.array(value, np.float64)
        self.v, self.m, self.t = np.zeros_like(self.p), np.zeros_like(self.p), 0

    def step(self, gradient, lr=5e-4, momentum=0.9, micro_steps=1):
        self.t += micro_steps
        b = 1 - self.t**-0.8
        u = np.zeros_like(self.p)
        for place, g in np.ndenumerate(np.asarray(gradient)):
            self.v[place] = b * self.v[place] + (1 - b) * (g * g + 1e-30)
            u[place] = g / np.sqrt(self.v[place] + 1e-30)
        scale = max(np.sqrt((self.p**2).mean()), 1e-3)
        u = u / max(1.0, np.sqrt((u**2).mean()))
        self.m = momentum * self.m + (1 - momentum) * u
        self.p = self.p - lr * scale * self.m


def parameters(*values, dtype=torch.float64):
    return [nn.Parameter(torch.tensor(np.array(value), dtype=dtype)) for value in values]


def give(weights, gradients):
    for weight, gradient in zip(weights, gradients):
        weight.grad = None if gradient is None else torch.as_tensor(np.array(gradient)).to(weight.dtype)


def test_worked_numbers():
    weights, twins = parameters(*P), [Twin(value) for value in P]
    optimizer = UnfactoredAdafactor(weights)
    for gradients, wanted in zip(GRADIENTS, WORKED):
        give(weights, gradients)
        optimizer.step()
        for weight, twin, gradient, printed in zip(weights, twins, gradients, wanted):
            twin.step(gradient)
            # As they are printed, to nine digits, and to the last ones.
            np.testing.assert_allclose(twin.p, printed, rtol=5e-9, atol=0)
            np.testing.assert_allclose(weight.detach().numpy(), twin.p, rtol=1e-12, atol=1e-18)


SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (64, 33)]


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
@pytest.mark.parametrize(
    "options", [{}, {"micro_steps": 2}, {"momentum": 0.0, "lr": 0.1}, {"micro_steps": 3, "momentum": 0.5}], ids=str
)
def test_any_shapes_as_a_twin_computes_them(monkeypatch, at_once, options):
    """Also gradients of any size and of none, and steps that not every parameter takes."""
    if at_once:
        monkeypatch.setattr(unfactored_adafactor, "_batches", lambda found: [found] if found else [])
    draw = np.random.default_rng(0)
    values = [draw.normal(size=shape) * 10.0 ** draw.integers(-6, 3) for shape in SHAPES]
    weights, twins = parameters(*values), [Twin(value) for value in values]
    lr = options.get("lr", 5e-4)
    groups = [{"params": weights[:2], "lr": 3 * lr}, {"params": weights[2:]}]
    optimizer = UnfactoredAdafactor(groups, **options)
    for step in range(12):
        gradients = [draw.normal(size=shape) * 10.0 ** draw.integers(-20, 9) for shape in SHAPES]
        gradients[3] *= draw.random(SHAPES[3]) < 0.5
        gradients[4] = None if step % 3 == 1 else gradients[4]
        give(weights, gradients)
        optimizer.step()
        for place, (twin, gradient) in enumerate(zip(twins, gradients)):
            if gradient is not None:
                twin.step(gradient, **(options | {"lr": 3 * lr if place < 2 else lr}))
    for weight, twin in zip(weights, twins):
        # What is subtracted may leave little of a number.
        atol = 1e-14 * np.abs(twin.p).max()
        np.testing.assert_allclose(weight.detach().numpy(), twin.p, rtol=1e-12, atol=atol)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_low_precision_is_float32_that_is_rounded(dtype):
    """Else most steps would be lost, being less than half of what the type can tell apart."""
    torch.manual_seed(0)
    low = [nn.Parameter(torch.randn(shape).to(dtype)) for shape in SHAPES]
    high = [nn.Parameter(one.detach().float()) for one in low]
    start = [one.detach().clone() for one in low]
    by_low, by_high = UnfactoredAdafactor(low), UnfactoredAdafactor(high)
    for _ in range(40):
        for one, other in zip(low, high):
            one.grad = (torch.randn_like(other) + 1).to(dtype)
            other.grad = one.grad.float()
        by_low.step()
        by_high.step()
    for one, other, old in zip(low, high, start):
        assert torch.equal(one, other.to(dtype))
        assert torch.equal(one.float() + by_low.state[one]["rounded"], other)
        assert not torch.equal(one, old)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_saved_state_goes_on_as_it_was(dtype):
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape).to(dtype)) for shape in SHAPES]
    optimizer = UnfactoredAdafactor(weights, lr=0.01)
    gradients = [[torch.randn(shape).to(dtype) for shape in SHAPES] for _ in range(6)]

    def walk(optimizer, weights, steps):
        for step in steps:
            for weight, gradient in zip(weights, gradients[step]):
                weight.grad = gradient.clone()
            optimizer.step()

    walk(optimizer, weights, range(3))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    others = [nn.Parameter(one.detach().clone()) for one in weights]
    again = UnfactoredAdafactor(others, lr=5.0)
    again.load_state_dict(torch.load(file, weights_only=True))
    for one, other in zip(weights, others):
        assert optimizer.state[one].keys() == again.state[other].keys()
        for name, value in optimizer.state[one].items():
            assert torch.equal(value, again.state[other][name])
            assert value.dtype == again.state[other][name].dtype
            assert value.data_ptr() != again.state[other][name].data_ptr()
    walk(optimizer, weights, range(3, 6))
    walk(again, others, range(3, 6))
    assert all(torch.equal(one, other) for one, other in zip(weights, others))


def test_a_closure_is_run_and_its_loss_given():
    (weight,) = parameters([3.0])
    optimizer = UnfactoredAdafactor([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss.detach()

    losses = [float(optimizer.step(closure)) for _ in range(60)]
    assert losses[0] == 9.0
    assert losses[-1] < 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, r"lr must be at least 0, got -1\.0"),
        ({"lr": float("nan")}, "lr must be at least 0, got nan"),
        ({"momentum": 1.0}, r"momentum must be at least 0 and below 1, got 1\.0"),
        ({"micro_steps": 0}, "micro_steps must be at least 1, got 0"),
        ({"weight_decay": 0.01}, r"weight_decay must be 0, as this optimiser has none, got 0\.01"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        UnfactoredAdafactor(parameters([1.0]), **options)


def test_wrong_parameters():
    with pytest.raises(ValueError, match=r"params must be of floating point, got torch\.complex64"):
        UnfactoredAdafactor([nn.Parameter(torch.zeros(2, dtype=torch.complex64))])
    table = nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="params must have dense gradients, got a sparse one"):
        UnfactoredAdafactor(table.parameters()).step()


@pytest.fixture
def folder(tmp_path):
    write_start(tmp_path)
    return tmp_path


def trained(folder, kind=Trainer, **options):
    """What has learnt after three steps of a Trainer."""
    arguments = {name: options.pop(name) for name in tuple(options) if name in TrainingArguments.__dataclass_fields__}
    settings = {"per_device_train_batch_size": 4, "max_steps": 3, "optim": TrainingArguments.optim}
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64, **rates)
    trainer = kind(
        model,
        descent(folder / "out", **{**ARTICLE_ARGUMENTS, **settings, **arguments}),
        train_dataset=ROWS,
        compute_loss_func=for_trainer("cross_entropy"),
        **options,
    )
    trainer.train()
    return trainer, dict(model.named_parameters())


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("counts", [False, True])
def test_trainer_is_given_it_by_class_or_by_trainer(folder, accumulation, counts):
    steps = {"gradient_accumulation_steps": accumulation}
    own = {"lr": 5e-4, "micro_steps": accumulation if counts else 1}
    _, wanted = trained(folder, optimizer_cls_and_kwargs=(UnfactoredAdafactor, own), **steps)
    trainer, found = trained(folder, ArticleOptimizerTrainer, count_micro_steps=counts, **steps)
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [5e-4, 5e-4]
    for name, value in wanted.items():
        assert torch.equal(value, found[name])
    _, others = trained(folder, ArticleOptimizerTrainer, count_micro_steps=not counts, **steps)
    assert (accumulation == 1) == all(torch.equal(value, others[name]) for name, value in wanted.items())


def test_accumulated_gradients_are_those_of_the_batch(folder):
    """Over micro-batches of two the same as at once, as real steps count; a slow twin says what they are."""
    _, wanted = trained(folder, ArticleOptimizerTrainer, max_steps=1)
    _, found = trained(
        folder, ArticleOptimizerTrainer, max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=2
    )
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64)
    batch = {name: torch.tensor([row[name] for row in ROWS[:4]]) for name in ROWS[0]}
    labels = batch.pop("labels")
    nn.functional.cross_entropy(model(**batch).logits, labels).backward()
    for name, parameter in model.named_parameters():
        twin = Twin(parameter.detach().numpy())
        if parameter.grad is not None:
            twin.step(parameter.grad.numpy())
        # The sign of a gradient that is nothing but rounding is nobody's.
        real = parameter.grad is None or parameter.grad.abs() > 1e-15
        for one in (wanted, found):
            torch.testing.assert_close(one[name] * real, torch.from_numpy(twin.p) * real, rtol=0, atol=1e-12, msg=name)


def test_rates_of_layers_and_names_multiply_its_steps(folder):
    before, plain = run(folder, {"optimizer": "article"}, max_steps=1)
    _, slower = run(
        folder, {"optimizer": "article", "layer_decay": 0.5, "learning_rate_multipliers": {"key": 3.0}}, max_steps=1
    )
    for part, factor in (("encoder.layer.1.output.dense.weight", 0.5), ("encoder.layer.0.attention.self.key", 0.75)):
        name = next(name for name in plain if part in name)
        torch.testing.assert_close(slower[name] - before[name], factor * (plain[name] - before[name]))


def test_a_job_is_trained_by_it(tmp_path, monkeypatch):
    """By its own arguments, with a CRF's groups, and the card says so."""
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    case, folder = JOBS["crf"], tmp_path / "job"
    case.write(folder)
    job = copy.copy(case.make(folder))
    job.optimizer = "article"
    arguments = job.training_arguments(folder / "out", max_steps=2, use_cpu=True, disable_tqdm=True)
    assert {name: getattr(arguments, name) for name in ARTICLE_ARGUMENTS} == ARTICLE_ARGUMENTS
    kept = {}
    monkeypatch.setattr(
        "hf_ext.tasks.base.job.train_with_progress",
        lambda trainer, metric: kept.update(trainer=trainer) or trainer.train(),
    )
    job.run(arguments)
    optimizer = kept["trainer"].optimizer.optimizer
    assert type(optimizer) is UnfactoredAdafactor
    rates = sorted({group["lr"] for group in optimizer.param_groups})
    assert rates == pytest.approx([5e-4, 5e-4 * kept["trainer"].model.config.head_lr_multiplier])
    card = (folder / "out" / "README.md").read_text(encoding="utf-8")
    assert "| optimiser | UnfactoredAdafactor |" in card
    assert json.loads((folder / "out" / "job.json").read_text())["options"]["optimizer"] == "article"


START = {"train_file": Path("a"), "validation_file": Path("b"), "config": "tiny"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adam"}, "optimizer must be article or left out, got 'adam'"),
        ({"count_micro_steps": True}, "count_micro_steps goes with optimizer, got True without it"),
    ],
)
def test_wrong_options_of_a_job(options, message):
    with pytest.raises(ValueError, match=message):
        ClassificationJob(**START, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optim": "adamw_torch"}, "optim must be left out with optimizer=article, got adamw_torch"),
        ({"optim": TrainingArguments.optim}, f"optim must be left out .*, got {TrainingArguments.optim}"),
        ({"adam_beta2": 0.98}, r"adam_beta2 must be left out with optimizer=article, got 0\.98"),
        ({"optim_args": "a=1"}, "optim_args must be left out with optimizer=article, got a=1"),
    ],
)
def test_another_optimiser_beside_it_is_refused(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        ClassificationJob(**START, optimizer="article").training_arguments(tmp_path, **given)


def test_trainer_refuses_another_optimiser(folder):
    with pytest.raises(ValueError, match="optim must be left out with the articles' optimiser, got sgd"):
        trained(folder, ArticleOptimizerTrainer, optim="sgd")
    given = torch.optim.SGD(parameters([1.0]), lr=0.1)
    with pytest.raises(ValueError, match="optimizers must be left out with the articles' optimiser, got a SGD"):
        trained(folder, ArticleOptimizerTrainer, optimizers=(given, None))
    with pytest.raises(ValueError, match=r"weight_decay must be 0, as this optimiser has none, got 0\.01"):
        trained(folder, ArticleOptimizerTrainer, weight_decay=0.01)
