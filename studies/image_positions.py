"""Positions of patches by rotation in two dimensions, in one, and from a table (kexue.fm/archives/8397)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

import hf_ext
from studies.descent import at_the_end, descend
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Images = tuple[Tensor, Tensor]
"""Images ``[B, 1, height, width]`` and their classes ``[B]``."""

Answer = Callable[[Tensor], Tensor]
"""The classes ``[B]`` that are found of images."""

SIDES: dict[str, dict[str, Any]] = {
    "axial": {"rope_kind": "axial"},
    "axial, base 100": {"rope_kind": "axial", "rope_theta": 100.0},
    "mixed": {"rope_kind": "mixed"},
    "one dimension": {"rope_kind": "flat"},
    "table": {"rope_kind": "none", "use_ape": True},
    "none": {"rope_kind": "none"},
}
_PATCH = 2
_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "patch_size": _PATCH,
    "num_channels": 1,
    # Smaller ones are for deep models, and slow down the first steps.
    "layer_scale_init_value": 1.0,
    # 0.02 is for models of 768: with it one so narrow does not leave the chance of one in four.
    "initializer_range": 0.12,
}
_LARGER = {"1.5": 1.5, "2": 2.0}
_BATCH = 32
_SCORED = 2000
# Of the digits, in an order of their own: the first to train, the next to choose a rate, the rest to report.
_TRAIN, _DEV = 1000, 300
_DIGIT, _DIGIT_CANVAS = 8, 12
_MARK_GRID = 8
_MARKS = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
_NOISE = 0.2


@dataclass(frozen=True)
class Task:
    """Images to train and to score.

    Attributes:
        side: of an image of training, in pixels.
        classes: their number.
        steps: of training.
        batch: the next images of training.
        scores: shares of right answers, each with its name, given what says the class of each image, a part, and the
            most images to score.
    """

    side: int
    classes: int
    steps: int
    batch: Callable[[], Images]
    scores: Callable[[Answer, str, int], Mapping[str, float]]


@cache
def digits(part: str) -> Images:
    """Images of 8 x 8 pixels from 0 to 1 of handwritten digits: "train", "dev" or "test"."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
    parts = {"train": order[:_TRAIN], "dev": order[_TRAIN : _TRAIN + _DEV], "test": order[_TRAIN + _DEV :]}
    chosen = parts[part]
    pixels = torch.as_tensor(images, dtype=torch.float32)[chosen] / 16
    return pixels.view(-1, 1, _DIGIT, _DIGIT), torch.as_tensor(classes)[chosen]


def on_canvas(images: Tensor, side: int, generator: torch.Generator | None = None) -> Tensor:
    """Images ``[B, C, h, w]`` at drawn places of empty ones ``[B, C, side, side]``, patch upon patch."""
    count, channels, height, width = images.shape
    canvas = images.new_zeros(count, channels, side, side)
    rows, columns = (
        torch.randint((side - size) // _PATCH + 1, (count,), generator=generator) * _PATCH for size in (height, width)
    )
    for image, target, row, column in zip(images, canvas, rows.tolist(), columns.tolist()):
        target[:, row : row + height, column : column + width] = image
    return canvas


def marks(count: int, grid: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Noisy images of two marks, A and B, that share neither row nor column.

    Args:
        count: number B of images.
        grid: patches of a row and of a column.
        generator: of all that is drawn.

    Returns:
        Images ``[B, 1, side, side]``, and by how many patches A is above and left of B ``[B, 2]``.
    """
    first = torch.randint(grid, (count, 2), generator=generator)
    second = (first + torch.randint(1, grid, (count, 2), generator=generator)) % grid
    patches = _NOISE * torch.randn(count, grid, grid, _PATCH, _PATCH, generator=generator)
    for mark, (rows, columns) in zip(_MARKS, (first.unbind(1), second.unbind(1))):
        patches[torch.arange(count), rows, columns] += mark
    images = patches.permute(0, 1, 3, 2, 4).reshape(count, 1, grid * _PATCH, grid * _PATCH)
    return images, second - first


def quarter(distances: Tensor) -> Tensor:
    """The class ``[B]`` of marks at such distances ``[B, 2]``: A above or below, and left or right."""
    return (2 * (distances[:, 0] > 0) + (distances[:, 1] > 0)).long()


def digits_task(seed: int) -> Task:
    """Digits on a canvas of one and a half times their size, to be named."""
    generator = torch.Generator().manual_seed(seed)
    images, classes = digits("train")

    def batch() -> Images:
        rows = torch.randint(len(classes), (_BATCH,), generator=generator)
        return on_canvas(images[rows], _DIGIT_CANVAS, generator), classes[rows]

    def scores(answer: Answer, part: str, most: int) -> Mapping[str, float]:
        images, classes = (each[:most] for each in digits(part))

        def accuracy(canvas: float, size: float = 1.0) -> float:
            shown = F.interpolate(images, scale_factor=size, mode="bilinear") if size > 1 else images
            places = torch.Generator().manual_seed(0)
            placed = on_canvas(shown, int(_DIGIT_CANVAS * canvas), places)
            return share(answer(placed) == classes)

        found = {"accuracy": accuracy(1.0)}
        found |= {f"larger_{name}": accuracy(factor) for name, factor in _LARGER.items()}
        return found | {f"upscaled_{name}": accuracy(factor, factor) for name, factor in _LARGER.items()}

    return Task(_DIGIT_CANVAS, 10, 1500, batch, scores)


def marks_task(seed: int) -> Task:
    """Two marks: is A above or below B, and left or right of it?"""
    generator = torch.Generator().manual_seed(seed)

    def batch() -> Images:
        images, distances = marks(_BATCH, _MARK_GRID, generator)
        return images, quarter(distances)

    def scores(answer: Answer, part: str, most: int) -> Mapping[str, float]:
        # Of another seed than those of training.
        generator = torch.Generator().manual_seed({"dev": 1000, "test": 2000}[part])
        found: dict[str, float] = {}
        for name, factor in {"1": 1.0, **_LARGER}.items():
            images, distances = marks(most, int(_MARK_GRID * factor), generator)
            answers, wanted = answer(images), quarter(distances)
            right = answers == wanted
            near = (distances.abs() < _MARK_GRID).all(1)
            found[f"larger_{name}"] = share(right)
            found[f"near_{name}"] = share(right[near])
            found[f"rows_{name}"] = share(answers // 2 == wanted // 2)
            found[f"columns_{name}"] = share(answers % 2 == wanted % 2)
        return {"accuracy": found.pop("larger_1"), **found}

    return Task(_MARK_GRID * _PATCH, 4, 1500, batch, scores)


def share(right: Tensor) -> float:
    """The share of the true ones."""
    return right.double().mean().item()


def run(task: Task, setting: Setting, sources: Sources) -> Mapping[str, Any]:
    """Train a vision transformer, and score it on images of the size of training and on larger ones."""
    fields = SIDES[setting["positions"]]
    config = hf_ext.RoPEViTConfig(**_SIZES, **fields, image_size=task.side)
    config.num_labels = task.classes
    model = hf_ext.RoPEViTForImageClassification(config)

    def loss() -> Tensor:
        images, classes = task.batch()
        found: Tensor = model(images, labels=classes).loss
        return found

    @torch.no_grad()
    def answer(images: Tensor) -> Tensor:
        return torch.cat([model(some).logits.argmax(-1) for some in images.split(250)])

    steps = 2 if sources.quick else task.steps
    losses = descend(model, loss, steps, setting["learning_rate"])
    scores = task.scores(answer, setting["part"], 20 if sources.quick else _SCORED)
    return {**scores, "loss": at_the_end(losses), "steps": steps, "parameters": model.num_parameters()}


def draw(figure: "Figure", results: Results) -> None:
    """All measures of all sides."""
    axes = figure.subplots()
    measures = results.experiment.measures
    sides = {side: [results.values(measure, positions=side) for measure in measures] for side in SIDES}
    names = ["as in training" if name == "accuracy" else name.replace("_", " ") for name in measures]
    grouped_bars(axes, names, sides)
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    legend_below(figure, axes)


DIGITS = Experiment(
    name="image_digits",
    cases=[{"data": "digits"}],
    side="positions",
    sides=tuple(SIDES),
    rates=(1e-3, 3e-3),
    score="accuracy",
    run=lambda setting, seed, sources: run(digits_task(seed), setting, sources),
    draw=draw,
    measures=("accuracy", "larger_1.5", "larger_2", "upscaled_1.5", "upscaled_2"),
)
MARKS = Experiment(
    name="image_marks",
    cases=[{"data": "marks"}],
    side="positions",
    sides=tuple(SIDES),
    rates=(1e-3, 3e-3),
    score="accuracy",
    run=lambda setting, seed, sources: run(marks_task(seed), setting, sources),
    draw=draw,
    measures=("accuracy", "larger_1.5", "larger_2", "near_2", "rows_2", "columns_2"),
)
