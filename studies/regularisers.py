"""Penalties of a perceptron's matrices: WEISSI beside L2, and what orthogonality does to angles.

The claims are those of kexue.fm/archives/7681 and 7169.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.losses import orthogonality_penalty, self_orthogonality_penalty, weissi_penalty
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below
from studies.image_positions import digits
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PIXELS, _WIDTH, _DIGITS = 64, 64, 10
_BATCH, _STEPS, _RATE = 32, 600, 3e-3
_NEAR = 5.0


class Perceptron(nn.Module):
    """Scores of classes by three matrices with ReLU between them.

    Args:
        batch_norm: whether what comes into each has no common mean.
    """

    def __init__(self, batch_norm: bool) -> None:
        super().__init__()
        widths = (_PIXELS, _WIDTH, _WIDTH, _DIGITS)
        self.linears: Any = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(width, affine=False) if batch_norm else nn.Identity() for width in widths[:-1]
        )

    @property
    def matrices(self) -> list[Tensor]:
        """Those of all layers, ``[outputs, inputs]``."""
        return [linear.weight for linear in self.linears]

    def products(self, images: Tensor) -> list[Tensor]:
        """What each matrix gives for images ``[B, 64]``, before its bias: ``[B, outputs]``."""
        found = []
        for norm, linear in zip(self.norms, self.linears):
            found.append(F.linear(norm(images), linear.weight))
            images = (found[-1] + linear.bias).relu()
        return found

    def scores(self, products: list[Tensor]) -> Tensor:
        """Scores ``[B, 10]`` of what the matrices give."""
        scores: Tensor = products[-1] + self.linears[-1].bias
        return scores

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``[B, 10]``."""
        return self.scores(self.products(images))


Penalty = Callable[[list[Tensor], list[Tensor]], Tensor]
"""Of the matrices of a perceptron, and what they give for a batch."""

_NONE = "none"


def _of_each(penalty: Callable[[Tensor], Tensor]) -> Callable[[list[Tensor]], Tensor]:
    return lambda tensors: torch.stack([penalty(one) for one in tensors]).sum()


_l2 = _of_each(lambda matrix: matrix.square().sum())
_soft, _cosine = (_of_each(partial(orthogonality_penalty, kind=kind)) for kind in ("soft", "cosine"))
_self = _of_each(partial(self_orthogonality_penalty, reduction="mean"))

SHRINKING: dict[str, Penalty] = {
    _NONE: lambda matrices, products: matrices[0].new_zeros(()),
    "L2": lambda matrices, products: _l2(matrices),
    "log norm": lambda matrices, products: weissi_penalty(matrices),
    "sparsity": lambda matrices, products: weissi_penalty(matrices, scale=0.0, sparsity=1.0),
    # At the start the gradients of both terms are of one length.
    "WEISSI": lambda matrices, products: weissi_penalty(matrices, sparsity=0.03),
}
# No matrix has more rows than columns, so all can be orthogonal.
ORTHOGONAL: dict[str, Penalty] = {
    _NONE: SHRINKING[_NONE],
    "soft": lambda matrices, products: _soft(matrices),
    "cosine": lambda matrices, products: _cosine(matrices),
    "self-orthogonality": lambda matrices, products: _self(products),
}


def train(penalty: Penalty, strength: float, images: int, batch_norm: bool, quick: bool) -> Perceptron:
    """A perceptron that has learnt so many digits under a penalty, without weight decay beside it."""
    model = Perceptron(batch_norm)
    pixels, classes = (each[:images] for each in digits("train"))
    pixels = pixels.flatten(1)

    def loss() -> Tensor:
        rows = torch.randint(len(classes), (_BATCH,))
        products = model.products(pixels[rows])
        return F.cross_entropy(model.scores(products), classes[rows]) + strength * penalty(model.matrices, products)

    descend(model, loss, 2 if quick else _STEPS, _RATE, weight_decay=0.0)
    return model


def shrink(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train under a penalty that shrinks matrices, and measure how well and how smoothly it classifies."""
    penalty = SHRINKING[setting["penalty"]]
    model = train(penalty, setting["strength"], setting["images"], False, sources.quick)
    norms = torch.stack([matrix.detach().norm() for matrix in model.matrices])
    return {
        **accuracies(model, setting),
        "input_gradient": input_gradient(model, setting["part"]),
        "product_of_norms": norms.prod().item(),
        "largest_to_smallest_norm": (norms.max() / norms.min()).item(),
    }


def straighten(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train under a penalty of angles, and measure them."""
    penalty = ORTHOGONAL[setting["penalty"]]
    model = train(penalty, setting["strength"], setting["images"], setting["batch_norm"], sources.quick)
    angles = torch.cat([angles_of(matrix.detach()) for matrix in model.matrices[:-1]])
    return {
        **accuracies(model, setting),
        "angle_mean_less_90": angles.mean().item() - 90,
        "angle_deviation": angles.std().item(),
        "within_5_degrees": ((angles - 90).abs() < _NEAR).double().mean().item(),
    }


@torch.no_grad()
def accuracies(model: Perceptron, setting: Setting) -> dict[str, float]:
    """The share of right answers on new digits, and on those of training."""
    parts = {"accuracy": (setting["part"], None), "accuracy_in_training": ("train", setting["images"])}
    found = {}
    for name, (part, most) in parts.items():
        pixels, classes = (each[:most] for each in digits(part))
        found[name] = (model(pixels.flatten(1)).argmax(-1) == classes).double().mean().item()
    return found


def input_gradient(model: Perceptron, part: str) -> float:
    """The mean over images of the length of the gradient of their loss at their pixels."""
    pixels, classes = digits(part)
    pixels = pixels.flatten(1).requires_grad_()
    (gradients,) = torch.autograd.grad(F.cross_entropy(model(pixels), classes, reduction="sum"), pixels)
    return gradients.norm(dim=-1).mean().item()


def angles_of(matrix: Tensor) -> Tensor:
    """The angle of each pair of rows, in degrees."""
    rows = F.normalize(matrix, dim=-1)
    first, second = torch.triu_indices(len(rows), len(rows), 1)
    return (rows @ rows.T)[first, second].clamp(-1, 1).acos().rad2deg()


def draw_shrinking(figure: "Figure", results: Results) -> None:
    """Accuracy, and the length of the gradient at the pixels."""
    _draw(figure, results, {"accuracy": "accuracy", "input_gradient": "gradient at the pixels"})


def draw_angles(figure: "Figure", results: Results) -> None:
    """Accuracy, and how far angles are from each other."""
    _draw(figure, results, {"accuracy": "accuracy", "angle_deviation": "standard deviation of angles, degrees"})


def _draw(figure: "Figure", results: Results, titles: Mapping[str, str]) -> None:
    experiment = results.experiment
    names = [", ".join(f"{name} {value}" for name, value in case.items()) for case in experiment.cases]
    for axes, (measure, title) in zip(figure.subplots(1, len(titles)), titles.items()):
        sides = {
            side: [results.values(measure, **case, penalty=side) for case in experiment.cases]
            for side in experiment.sides
        }
        grouped_bars(axes, names, sides)
        axes.set_title(title)
        if measure == "accuracy":
            axes.set_ylim(bottom=0.5)
    legend_below(figure, figure.axes[0], "penalty")


WEISSI = Experiment(
    name="weissi",
    cases=[{"images": 100}, {"images": 400}],
    side="penalty",
    sides=tuple(SHRINKING),
    rates={
        _NONE: (0.0,),
        "L2": (1e-5, 1e-4, 1e-3, 1e-2),
        **dict.fromkeys(("log norm", "WEISSI"), (1e-3, 1e-2, 1e-1, 1.0)),
        "sparsity": (1e-4, 1e-3, 1e-2, 1e-1),
    },
    tunes="strength",
    score="accuracy",
    run=shrink,
    draw=draw_shrinking,
    measures=("accuracy", "accuracy_in_training", "input_gradient", "product_of_norms", "largest_to_smallest_norm"),
)
ORTHOGONALITY = Experiment(
    name="orthogonality",
    cases=[{"images": 400, "batch_norm": True}, {"images": 400, "batch_norm": False}],
    side="penalty",
    sides=tuple(ORTHOGONAL),
    rates={_NONE: (0.0,), "soft": (1e-3, 1e-2), "cosine": (1e-3, 1e-2), "self-orthogonality": (1.0, 10.0)},
    tunes="strength",
    score="accuracy",
    run=straighten,
    draw=draw_angles,
    measures=("accuracy", "angle_mean_less_90", "angle_deviation", "within_5_degrees"),
)
