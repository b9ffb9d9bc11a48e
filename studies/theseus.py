"""Is a shallow model better for having stood in for parts of a deep one (kexue.fm/archives/7575)?"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from transformers import AutoModel, AutoTokenizer

from hf_ext.tasks.classification import ClassificationJob
from hf_ext.training import attach_successor
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Sources, write_json_lines
from studies.study import Experiment, Results, Setting
from studies.training import output_folder, training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DATA, _TEXTS = "news", 1200
_LAYERS, _PRETRAINING_STEPS = 6, 600
_BATCH = 16
_RATE = 1e-3
# Of the predecessor, and of the successor, whose last third of steps is without it.
_DEEP_EPOCHS, _EPOCHS = 8, 8
_ALONE_FROM = 2 / 3
_FIRST_RATE = 0.3
_FIRST, _FIRST_LONGER, _CUT, _ALONE, _CONSTANT, _LINEAR = (
    "first layers",
    "first layers, same time",
    "cut, not trained",
    "trained alone",
    "Theseus, 0.5",
    "Theseus, linear",
)
SIDES = (_FIRST, _FIRST_LONGER, _CUT, _ALONE, _CONSTANT, _LINEAR)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Make a model of few layers that classifies titles, and score it."""
    side, layers = setting["successor"], setting["layers"]
    deep = predecessor(sources, seed, setting["part"])
    begun = time.process_time()
    files = training_file(sources), sources.labelled_file(_DATA, setting["part"])
    rate = _RATE
    settings: dict[str, Any] = {"per_device_train_batch_size": _BATCH}
    epochs: float
    if side in (_FIRST, _FIRST_LONGER):
        epochs = _DEEP_EPOCHS + _EPOCHS if side == _FIRST else epochs_of_same_time(layers)
        job = ClassificationJob(*files, model=first_layers(sources, layers), overwrite=True)
    else:
        epochs = _EPOCHS
        job = ClassificationJob(*files, model=deep.folder, compress_to=layers, overwrite=True, **replacement_of(side))
    if side == _CUT:
        # Trainer has to take a step to end.
        epochs, rate = 0.0, 0.0
        settings["max_steps"] = 1
    scores = job.run(training_arguments(sources, seed, epochs, rate, **settings))
    seconds = time.process_time() - begun
    return {
        "accuracy": scores["accuracy"],
        "predecessor": deep.accuracy,
        "epochs": float(epochs),
        # With those of the predecessor, where there is one.
        "train_s": seconds if side in (_FIRST, _FIRST_LONGER) else seconds + deep.seconds,
    }


def replacement_of(side: str) -> dict[str, Any]:
    """How parts are replaced; alone: all of them from the first step on, so that nothing stands beside them."""
    if side == _CONSTANT:
        return {"replacement_rate": 0.5, "replacement_steps": _ALONE_FROM}
    if side == _LINEAR:
        steps = _EPOCHS * math.ceil(_TEXTS / _BATCH)
        return {"replacement_rate": _FIRST_RATE, "replacement_slope": (1 - _FIRST_RATE) / (_ALONE_FROM * steps)}
    return {"replacement_rate": 1.0, "replacement_slope": 0.0}


def epochs_of_same_time(layers: int) -> float:
    """Epochs of so many layers that run as many layers as predecessor and successor do, at a rate of 0.5.

    All layers count alike, though those of the predecessor are no longer trained while they are replaced.
    """
    together = _ALONE_FROM * (layers + _LAYERS) / 2 + (1 - _ALONE_FROM) * layers
    return round((_DEEP_EPOCHS * _LAYERS + _EPOCHS * together) / layers, 1)


def training_file(sources: Sources) -> Any:
    """A file of the titles that all models are trained on."""
    path = sources.folder / "titles.jsonl"
    if not path.exists():
        write_json_lines(path, sources.labelled(_DATA, "train")[:_TEXTS])
    return path


@dataclass(frozen=True)
class Predecessor:
    """A deep model that was trained for the task.

    Attributes:
        folder: where it is.
        accuracy: of it.
        seconds: of CPU time that it took.
    """

    folder: str
    accuracy: float
    seconds: float


@cache
def predecessor(sources: Sources, seed: int, part: str) -> Predecessor:
    """Train the model that is to be replaced, once for all successors, and score it."""
    encoder, begun = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS), time.process_time()
    files = training_file(sources), sources.labelled_file(_DATA, part)
    job = ClassificationJob(*files, model=encoder, overwrite=True)
    options = {"per_device_train_batch_size": _BATCH}
    scores = job.run(training_arguments(sources, seed, _DEEP_EPOCHS, _RATE, **options))
    folder = sources.folder / f"predecessor {seed} {part}"
    output_folder(sources).rename(folder)
    return Predecessor(str(folder), scores["accuracy"], time.process_time() - begun)


@cache
def first_layers(sources: Sources, layers: int) -> str:
    """The folder of an encoder of the first layers of the pre-trained one."""
    encoder = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS)
    folder = sources.folder / f"first {layers} layers"
    attach_successor(AutoModel.from_pretrained(encoder), layers).successor().save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return str(folder)


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy of each way to a model of few layers; dotted, the mean of the deep one."""
    names = [f"{case['layers']} of {_LAYERS} layers" for case in EXPERIMENT.cases]
    axes = figure.subplots()
    sides = {side: [results.values("accuracy", **case, successor=side) for case in EXPERIMENT.cases] for side in SIDES}
    grouped_bars(axes, names, sides)
    deep = results.values("predecessor", successor=_CONSTANT)
    if deep:
        axes.axhline(sum(deep) / len(deep), color="black", linestyle=":", linewidth=1)
    axes.set_ylabel("accuracy; dotted: the predecessor")
    legend_below(figure, axes)


EXPERIMENT = Experiment(
    name="theseus",
    cases=[{"layers": 3}, {"layers": 2}],
    side="successor",
    sides=SIDES,
    score="accuracy",
    run=run,
    draw=draw,
    measures=("accuracy", "predecessor", "epochs", "train_s"),
)
