"""Accuracy maximised as it is, EXACT, beside cross-entropy and hinge loss (kexue.fm/archives/9098)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext import ClassificationJob
from hf_ext.losses import exact_loss
from studies.drawing import grouped_bars
from studies.sources import Sources
from studies.study import Experiment, Results, Setting
from studies.training import encoder_config, training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Functions of logits, labels, and the share of the training that is done, by which the noise of EXACT shrinks.
LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cross-entropy": lambda logits, labels, done: F.cross_entropy(logits, labels),
    "hinge": lambda logits, labels, done: F.multi_margin_loss(logits, labels),
    "EXACT": lambda logits, labels, done: exact_loss(logits, labels, sigma=10**-done, integral="line"),
}
_POINTS = torch.tensor([0.0, 0.5, 0.5])
_CLASSES = torch.tensor([0, 1, 1])
_RIGHT = (-0.5, 0.0)
_STARTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
_EPOCHS = {"news": 3, "sentiment": 6}
_MAX_LENGTH = 64
_BATCH = 32
_TRAINED, _SCORED = 4000, 2000


def fit_points(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Fit the article's classifier, class 1 where ``x + bias > 0``, to three points, two of them on one spot."""
    loss, steps = LOSSES[setting["loss"]], 20 if sources.quick else 300
    bias = torch.tensor(setting["start"]).requires_grad_()
    for step in range(steps):
        logits = torch.stack((torch.zeros(len(_POINTS)), _POINTS + bias), -1)
        (slope,) = torch.autograd.grad(loss(logits, _CLASSES, step / steps), bias)
        bias = (bias - 0.3 * slope).detach().requires_grad_()
    right = (_POINTS + bias > 0).long() == _CLASSES
    return {"accuracy": right.float().mean().item(), "bias": bias.item(), "steps": steps}


@dataclass
class _LossAsFunction:
    """For Trainer: a loss that is told how far the training is."""

    function: Callable[[Tensor, Tensor, float], Tensor]
    steps: int
    done: int = 0

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        value = self.function(outputs["logits"], labels, min(self.done / self.steps, 1.0))
        self.done += 1
        return value


class _Job(ClassificationJob):
    """Trains with a function of `LOSSES`."""

    function: _LossAsFunction

    def training_loss(self, *arguments: Any) -> _LossAsFunction:
        return self.function


def train_classifier(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Accuracy of a classifier from scratch."""
    data, part = setting["data"], setting["part"]
    train = sources.labelled(data, "train")
    scored = sources.labelled(data, part)
    train, scored = train[:_TRAINED], scored[:_SCORED]
    job = _Job(
        sources.labelled_file("train", train), sources.labelled_file(part, scored), config=encoder_config(sources)
    )
    epochs = _EPOCHS[data]
    job.function = _LossAsFunction(LOSSES[setting["loss"]], epochs * ceil(len(train) / _BATCH))
    rate = setting["learning_rate"]
    scores = job.run(training_arguments(sources, seed, epochs, rate, per_device_train_batch_size=_BATCH))
    return {
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "epochs": epochs,
        "train_texts": len(train),
        "scored_texts": len(scored),
    }


def draw_points(figure: "Figure", results: Results) -> None:
    """Where each loss leads, from each start."""
    axes = figure.subplots()
    axes.axvspan(*_RIGHT, color="#009e73", alpha=0.2, label="all three points right")
    for place, loss in enumerate(LOSSES):
        ends = [results.values("bias", start=start, loss=loss) for start in _STARTS]
        for marker, found, label in (("x", _STARTS, "start"), ("o", [bias for each in ends for bias in each], "end")):
            height = [place + (0.1 if marker == "x" else -0.1)] * len(found)
            axes.scatter(found, height, marker=marker, color="#0072b2", alpha=0.7, label=label if place == 0 else None)
    axes.set_yticks(range(len(LOSSES)), list(LOSSES))
    axes.set_xlabel("bias; class 1 where x + bias > 0")
    axes.grid(alpha=0.3)
    axes.legend()


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy on both sets."""
    axes = figure.subplots()
    names = [case["data"] for case in EXPERIMENT.cases]
    sides = {loss: [results.values("accuracy", data=name, loss=loss) for name in names] for loss in LOSSES}
    grouped_bars(axes, names, sides)
    axes.set_ylabel("accuracy")
    axes.legend(title="loss")


POINTS = Experiment(
    name="exact_points",
    cases=[{"start": start} for start in _STARTS],
    side="loss",
    sides=tuple(LOSSES),
    score="accuracy",
    run=fit_points,
    draw=draw_points,
    measures=("accuracy", "bias"),
    seeds=1,
)
EXPERIMENT = Experiment(
    name="exact_loss",
    cases=[{"data": "news"}, {"data": "sentiment"}],
    side="loss",
    sides=tuple(LOSSES),
    rates=(1e-3, 3e-3),
    score="accuracy",
    run=train_classifier,
    draw=draw,
    measures=("accuracy", "macro_f1"),
)
