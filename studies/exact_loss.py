"""Accuracy maximised as it is, EXACT, beside cross-entropy and hinge loss (kexue.fm/archives/9098)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from hf_ext.losses import exact_loss
from hf_ext.tasks.classification import label_names
from studies.drawing import grouped_bars, legend_below
from studies.ngram_classifier import Loss, fit, predict
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The noise of EXACT shrinks in the course of training.
LOSSES: dict[str, Loss] = {
    "cross-entropy": lambda logits, labels, done: F.cross_entropy(logits, labels),
    "hinge": lambda logits, labels, done: F.multi_margin_loss(logits, labels),
    "EXACT": lambda logits, labels, done: exact_loss(logits, labels, sigma=10**-done, integral="line"),
}
_POINTS = torch.tensor([0.0, 0.5, 0.5])
_CLASSES = torch.tensor([0, 1, 1])
_RIGHT = (-0.5, 0.0)
_STARTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
_EPOCHS = 10


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


def train_classifier(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Accuracy of a classifier from scratch."""
    parts = {name: sources.labelled(setting["data"], name) for name in ("train", setting["part"])}
    names = label_names(parts["train"])
    labels = {name: torch.tensor([names.index(one["label"]) for one in examples]) for name, examples in parts.items()}
    texts = {name: [one["text"] for one in examples] for name, examples in parts.items()}
    epochs = 1 if sources.quick else _EPOCHS
    loss, rate = LOSSES[setting["loss"]], setting["learning_rate"]
    model = fit(texts["train"], labels["train"], len(names), loss, epochs, rate)
    right = {name: (predict(model, texts[name]).argmax(-1) == labels[name]).float().mean().item() for name in parts}
    return {
        "accuracy": right[setting["part"]],
        "accuracy_in_training": right["train"],
        "epochs": epochs,
        "train_texts": len(texts["train"]),
        "scored_texts": len(texts[setting["part"]]),
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
    legend_below(figure, axes)


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy on both sets, on new texts and on those of training."""
    names = [case["data"] for case in EXPERIMENT.cases]
    titles = {"accuracy": "on new texts", "accuracy_in_training": "on the texts of training"}
    for axes, (measure, title) in zip(figure.subplots(1, 2, sharey=True), titles.items()):
        sides = {loss: [results.values(measure, data=name, loss=loss) for name in names] for loss in LOSSES}
        grouped_bars(axes, names, sides)
        axes.set_title(title)
    figure.axes[0].set_ylabel("accuracy")
    legend_below(figure, figure.axes[0], "loss")


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
    rates=(1e-3, 3e-3, 1e-2, 3e-2),
    score="accuracy",
    run=train_classifier,
    draw=draw,
    measures=("accuracy", "accuracy_in_training"),
)
