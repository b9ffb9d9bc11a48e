"""Losses for any number of classes where few of many are there.

Multi-label softmax (kexue.fm/archives/7359) beside binary cross-entropy and focal loss; and smooth F1 beside the
cross-entropy that comes of it where log p is put for p (kexue.fm/archives/7708).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hf_ext.losses import LOSSES, F1WeightedCrossEntropy
from hf_ext.metrics import calibrate_thresholds
from hf_ext.tasks.classification import classification_scores, label_names
from studies.drawing import grouped_bars, legend_below
from studies.ngram_classifier import fit, predict
from studies.sources import Example, Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EPOCHS = 15
_ABSENT_CLASSES = 585
_KEPT = 5
# Made for each run, as one keeps a mean. Focal loss without its focus is the cross-entropy of each class by itself.
_LOSSES: dict[str, Callable[[], Callable[..., Tensor]]] = {
    "multi-label softmax": lambda: LOSSES["multilabel_softmax"],
    "BCE": lambda: partial(LOSSES["binary_focal"], gamma=0.0),
    "focal": lambda: partial(LOSSES["binary_focal"], gamma=2.0),
    "smooth F1": lambda: LOSSES["smooth_f1"],
    "F1-weighted": F1WeightedCrossEntropy,
}


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a classifier; score it at the threshold 0, and at thresholds chosen on texts that are neither."""
    data, part, harder = setting["data"], setting["part"], setting["positives"] != "all"
    parts = split(sources, data, fewer=harder and data == "divorce")
    names = label_names(parts["train"])
    names += [f"absent {number}" for number in range(_ABSENT_CLASSES if harder and data == "events" else 0)]
    labels = {name: _label_rows(examples, names) for name, examples in parts.items()}
    texts = {name: [one["text"] for one in examples] for name, examples in parts.items()}
    loss, epochs = _LOSSES[setting["loss"]](), 1 if sources.quick else _EPOCHS
    model = fit(
        texts["train"],
        labels["train"],
        len(names),
        lambda logits, labels, done: loss(logits, labels),
        epochs,
        setting["learning_rate"],
    )
    chosen_on, logits = predict(model, texts["dev"]), predict(model, texts[part])
    together, one_by_one = (calibrate_thresholds(chosen_on, labels["dev"], per_class)[0] for per_class in (False, True))
    zero, micro, macro = (_scores(logits.numpy() > least, labels[part], names) for least in (0, together, one_by_one))
    return {
        "micro_f1": zero["f1"],
        "macro_f1": zero["macro_f1"],
        "micro_f1_calibrated": micro["f1"],
        "macro_f1_calibrated": macro["macro_f1"],
        "threshold": float(together[0]),
        "positive_share": labels["train"].mean().item(),
        "train_texts": len(texts["train"]),
        "classes": len(names),
        "epochs": epochs,
    }


def split(sources: Sources, data: str, fewer: bool) -> dict[str, list[Example]]:
    """Texts to train on, to choose on, and to score; with ``fewer``, of those with a class a fifth is trained on."""
    train = sources.labelled(data, "train")
    if data == "events":
        # The file is sorted by class.
        parts = {"train": train[::2], "dev": train[1::4], "test": sources.labelled(data, "test")}
    else:
        first, second = len(train) * 6 // 10, len(train) * 8 // 10
        parts = {"train": train[:first], "dev": train[first:second], "test": train[second:]}
    if fewer:
        labelled = [one for one in parts["train"] if one["labels"]]
        parts["train"] = labelled[::_KEPT] + [one for one in parts["train"] if not one["labels"]]
    return parts


def _label_rows(examples: Sequence[Example], names: Sequence[str]) -> Tensor:
    """``[N, C]`` of 0 and 1; a class that training does not know is left out."""
    return torch.tensor([[float(name in example["labels"]) for name in names] for example in examples])


def _scores(found: np.ndarray, true: Tensor, names: Sequence[str]) -> dict[str, Any]:
    rows = [[[names[int(place)] for place in np.flatnonzero(row)] for row in table] for table in (found, true.numpy())]
    return classification_scores(rows[0], rows[1])


def draw(figure: "Figure", results: Results) -> None:
    """Micro and macro F1 at the threshold 0, and at thresholds that were chosen."""
    figure.set_size_inches(11, 7)
    names = [f"{case['data']},\n{case['positives']}" for case in EXPERIMENT.cases]
    titles = {
        "micro_f1": "micro F1, threshold 0",
        "micro_f1_calibrated": "micro F1, one threshold chosen",
        "macro_f1": "macro F1, threshold 0",
        "macro_f1_calibrated": "macro F1, one chosen for each class",
    }
    for axes, (measure, title) in zip(figure.subplots(2, 2, sharey=True).flat, titles.items()):
        sides = {loss: [results.values(measure, **case, loss=loss) for case in EXPERIMENT.cases] for loss in _LOSSES}
        grouped_bars(axes, names, sides)
        axes.set_title(title)
        axes.set_ylabel("F1")
    legend_below(figure, figure.axes[0], "loss")


EXPERIMENT = Experiment(
    name="label_imbalance",
    cases=[
        {"data": "events", "positives": "all"},
        {"data": "events", "positives": "585 absent classes"},
        {"data": "divorce", "positives": "all"},
        {"data": "divorce", "positives": "a fifth"},
    ],
    side="loss",
    sides=tuple(_LOSSES),
    rates=(3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
    score="micro_f1_calibrated",
    run=run,
    draw=draw,
    measures=("micro_f1", "macro_f1", "micro_f1_calibrated", "macro_f1_calibrated", "threshold"),
)
