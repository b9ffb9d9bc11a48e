"""Multi-label softmax beside binary cross-entropy and focal loss where few of many classes are there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer

from hf_ext import ClassificationJob, calibrate_thresholds, classification_scores, encode_labelled_texts
from hf_ext.training.trainer_steps import predict_in_order
from studies.drawing import grouped_bars
from studies.sources import Example, Sources
from studies.study import Experiment, Results, Setting
from studies.training import encoder_config, output_folder, training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EPOCHS = 5
_ABSENT_CLASSES = 585
_KEPT = 5
_MAX_LENGTH = 64
# Focal loss without its focus is the cross-entropy of each class by itself.
_LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "multi-label softmax": ("multilabel_softmax", {}),
    "BCE": ("binary_focal", {"gamma": 0.0}),
    "focal": ("binary_focal", {"gamma": 2.0}),
}


class _WiderJob(ClassificationJob):
    """Adds classes that no text has."""

    absent: int = 0

    def trained_order(self, names: list[str]) -> list[str]:
        return super().trained_order(names) + [f"absent {number}" for number in range(self.absent)]


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a classifier; score it at the threshold 0, and at thresholds chosen on texts that are neither."""
    data, harder = setting["data"], setting["positives"] != "all"
    parts = split(sources, data, fewer=harder and data == "divorce")
    loss, options = _LOSSES[setting["loss"]]
    job = _WiderJob(
        sources.labelled_file("train", parts["train"]),
        sources.labelled_file("test", parts[setting["part"]]),
        config=encoder_config(sources),
        max_length=_MAX_LENGTH,
        loss=loss,
        loss_options=options,
    )
    job.absent = _ABSENT_CLASSES if harder and data == "events" else 0
    arguments = training_arguments(sources, seed, _EPOCHS, setting["learning_rate"], per_device_train_batch_size=32)
    scores = job.run(arguments)
    logits, labels, names = _predict(sources, arguments, {part: parts[part] for part in ("dev", setting["part"])})
    together, one_by_one = (
        calibrate_thresholds(logits["dev"], labels["dev"], per_class)[0] for per_class in (False, True)
    )
    micro, macro = (
        _scores(logits[setting["part"]] > thresholds, labels[setting["part"]], names)
        for thresholds in (together, one_by_one)
    )
    positives = labels["dev"].mean()
    return {
        "micro_f1": scores["f1"],
        "macro_f1": scores["macro_f1"],
        "micro_f1_calibrated": micro["f1"],
        "macro_f1_calibrated": macro["macro_f1"],
        "threshold": float(together[0]),
        "positive_share": float(positives),
        "train_texts": len(parts["train"]),
        "classes": len(names),
        "epochs": _EPOCHS,
    }


def split(sources: Sources, data: str, fewer: bool) -> dict[str, list[Example]]:
    """Texts to train on, to choose on, and to score; with ``fewer``, of those with a class a fifth is trained on."""
    train = sources.labelled(data, "train")
    if data == "events":
        # The file is sorted by class.
        parts = {
            "train": train[::2],
            "dev": train[1::8],
            "test": sources.labelled(data, "test"),
        }
    else:
        first, second = len(train) * 7 // 10, len(train) * 8 // 10
        parts = {"train": train[:first], "dev": train[first:second], "test": train[second:]}
    if fewer:
        labelled = [one for one in parts["train"] if one["labels"]]
        parts["train"] = labelled[::_KEPT] + [one for one in parts["train"] if not one["labels"]]
    known = {label for one in parts["train"] for label in one["labels"]}
    for part in ("dev", "test"):
        parts[part] = [{**one, "labels": [label for label in one["labels"] if label in known]} for one in parts[part]]
    return parts


def _predict(
    sources: Sources, arguments: Any, parts: Mapping[str, Sequence[Example]]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """Logits and labels ``[N, C]`` of each part by the model that was saved, and the names of the classes."""
    model = AutoModelForSequenceClassification.from_pretrained(output_folder(sources))
    tokenizer = AutoTokenizer.from_pretrained(output_folder(sources))
    trainer = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), processing_class=tokenizer)
    logits, labels = {}, {}
    for part, examples in parts.items():
        rows = encode_labelled_texts(examples, tokenizer, model.config.label2id, _MAX_LENGTH)
        logits[part], labels[part] = predict_in_order(trainer, rows), np.array(rows["labels"])
    return logits, labels, [model.config.id2label[number] for number in range(len(model.config.id2label))]


def _scores(found: np.ndarray, true: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    rows = [[[names[int(number)] for number in np.flatnonzero(row)] for row in table] for table in (found, true)]
    return classification_scores(rows[0], rows[1])


def draw(figure: "Figure", results: Results) -> None:
    """Micro and macro F1 at the threshold 0, and at thresholds that were chosen."""
    names = [f"{case['data']},\n{case['positives']}" for case in EXPERIMENT.cases]
    titles = {
        "micro_f1": "micro F1, threshold 0",
        "micro_f1_calibrated": "micro F1, one threshold chosen",
        "macro_f1": "macro F1, threshold 0",
        "macro_f1_calibrated": "macro F1, a threshold a class chosen",
    }
    for axes, (measure, title) in zip(figure.subplots(1, 4, sharey=True), titles.items()):
        sides = {loss: [results.values(measure, **case, loss=loss) for case in EXPERIMENT.cases] for loss in _LOSSES}
        grouped_bars(axes, names, sides)
        axes.set_title(title, fontsize="medium")
        axes.tick_params(axis="x", labelsize="x-small")
    figure.axes[0].set_ylabel("F1")
    figure.axes[0].legend(title="loss")


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
    rates=(1e-3, 3e-3),
    score="micro_f1_calibrated",
    run=run,
    draw=draw,
    measures=("micro_f1", "macro_f1", "micro_f1_calibrated", "macro_f1_calibrated", "threshold"),
)
