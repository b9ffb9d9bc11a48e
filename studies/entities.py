"""Pointers beside tags: GlobalPointer, a CRF, a MEMM and a softmax, on entities that nest and on those that do not."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers import set_seed

from hf_ext.metrics import span_scores
from hf_ext.tasks.entities import SequenceLabelingJob, SpanExtractionJob
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Example, Sources
from studies.study import Experiment, Results, Setting
from studies.training import encoder_config, training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PRETRAINED = "masked words"
_LAYERS, _PRETRAINING_STEPS = 4, 1000
_EPOCHS = {"weibo": 4, "resume": 2, "people's daily": 2, "duie": 6, "generated": 5}


class _Spans:
    """Keeps the spans that a job has decoded."""

    found: list[list[dict[str, Any]]]

    def decode(self, *arguments: Any) -> list[list[dict[str, Any]]]:
        self.found = super().decode(*arguments)  # type: ignore[misc]
        return self.found


class _PointerJob(_Spans, SpanExtractionJob):
    """Efficient GlobalPointer, which is the job's default."""


class _TagJob(_Spans, SequenceLabelingJob):
    """A CRF, a MEMM or a softmax."""


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a head and score it: on all entities, and the share found of those that overlap others."""
    name, head = setting["data"], setting["head"]
    epochs = setting.get("epochs", _EPOCHS[name])
    files = sources.entity_file(name, "train"), sources.entity_file(name, setting["part"])
    start: dict[str, Any] = {"config": encoder_config(sources)}
    if setting.get("encoder") == _PRETRAINED:
        start = {"model": masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS)}
        # The seed is set again, as the encoder is made in one run alone.
        set_seed(seed)
    job: _PointerJob | _TagJob
    if head == "Efficient GlobalPointer":
        job = _PointerJob(*files, **start, overwrite=True)
    else:
        job = _TagJob(*files, **start, head=head.lower(), overwrite=True)
    scores = job.run(training_arguments(sources, seed, epochs, setting["learning_rate"]))
    true = sources.entities(name, setting["part"])
    nested = overlapping(true)
    counts = sum(map(len, nested))
    return {
        "f1": scores["f1"],
        "precision": scores["precision"],
        "recall": scores["recall"],
        # Where nothing overlaps there is no share of it.
        "nested_recall": span_scores(job.found, nested)["recall"] if counts else "",
        "nested": counts,
        "entities": sum(len(example["entities"]) for example in true),
        "epochs": epochs,
    }


def overlapping(examples: Sequence[Example]) -> list[list[dict[str, Any]]]:
    """The entities of each text that share a character with another one."""
    return [
        [
            one
            for one in example["entities"]
            if any(
                one is not other and one["start"] < other["end"] and other["start"] < one["end"]
                for other in example["entities"]
            )
        ]
        for example in examples
    ]


def draw_flat(figure: "Figure", results: Results) -> None:
    """F1 on each data set, and the time it took."""
    names = [case["data"] for case in FLAT.cases]
    for axes, measure, label in zip(
        figure.subplots(1, 2), ("f1", "cpu_s"), ("F1, exact spans", "CPU time of a run, s")
    ):
        sides = {head: [results.values(measure, data=name, head=head) for name in names] for head in FLAT.sides}
        grouped_bars(axes, names, sides)
        axes.set_ylabel(label)
    legend_below(figure, figure.axes[0], "head")


def draw_parts(figure: "Figure", results: Results) -> None:
    """F1, precision and recall on each data set."""
    experiment = results.experiment
    names = [case["data"] for case in experiment.cases]
    for axes, measure in zip(figure.subplots(1, 3, sharey=True), ("f1", "precision", "recall")):
        sides = {head: [results.values(measure, data=name, head=head) for name in names] for head in experiment.sides}
        grouped_bars(axes, names, sides)
        axes.set_title(measure)
    legend_below(figure, figure.axes[0], "head")


def draw_nested(figure: "Figure", results: Results) -> None:
    """F1 on each data set, and the share found of the entities that overlap others."""
    names = [case["data"] for case in NESTED.cases]
    titles = {"f1": "F1 of all entities", "nested_recall": "recall of those that overlap others"}
    for axes, (measure, title) in zip(figure.subplots(1, 2, sharey=True), titles.items()):
        sides = {head: [results.values(measure, data=name, head=head) for name in names] for head in NESTED.sides}
        grouped_bars(axes, names, sides)
        axes.set_title(title)
    legend_below(figure, figure.axes[0], "head")


FLAT = Experiment(
    name="flat_entities",
    cases=[{"data": name} for name in ("weibo", "resume", "people's daily")],
    side="head",
    sides=("Efficient GlobalPointer", "CRF", "MEMM", "softmax"),
    rates=(1e-3, 3e-3, 1e-2),
    score="f1",
    run=run,
    draw=draw_flat,
    measures=("f1", "precision", "recall", "cpu_s"),
)
# At the rate that is best for both in `FLAT`.
LONGER = Experiment(
    name="longer_training",
    cases=[{"data": name, "epochs": 3 * _EPOCHS[name], "learning_rate": 3e-3} for name in ("weibo", "resume")],
    side="head",
    sides=("Efficient GlobalPointer", "CRF"),
    score="f1",
    run=run,
    draw=draw_parts,
    measures=("f1", "precision", "recall", "cpu_s"),
)
PRETRAINED = Experiment(
    name="pretrained_entities",
    cases=[{"data": name, "epochs": epochs, "encoder": _PRETRAINED} for name, epochs in (("weibo", 6), ("resume", 2))],
    side="head",
    sides=("Efficient GlobalPointer", "CRF", "softmax"),
    rates=(3e-4, 1e-3, 3e-3),
    score="f1",
    run=run,
    draw=draw_parts,
    measures=("f1", "precision", "recall", "cpu_s"),
)
NESTED = Experiment(
    name="nested_entities",
    cases=[{"data": name} for name in ("generated", "duie")],
    side="head",
    sides=("Efficient GlobalPointer", "CRF"),
    rates=(1e-3, 3e-3, 1e-2),
    score="f1",
    run=run,
    draw=draw_nested,
    measures=("f1", "recall", "nested_recall", "cpu_s"),
)
