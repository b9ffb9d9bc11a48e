"""Pointers beside tags: GlobalPointer, a CRF, a MEMM and a softmax, on entities that nest and on those that do not."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_ext import SequenceLabelingJob, SpanExtractionJob, span_scores
from studies.drawing import grouped_bars, legend_below
from studies.sources import Example, Sources
from studies.study import Experiment, Results, Setting
from studies.training import encoder_config, training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EPOCHS = {"weibo": 4, "resume": 2, "people's daily": 2, "duie": 2, "generated": 3}
_FLAT = ("weibo", "resume", "people's daily")
_NESTED = ("duie", "generated")


class _Spans:
    """Keeps the spans that a job has decoded."""

    found: list[list[dict[str, Any]]]

    def decode(self, *arguments: Any) -> list[list[dict[str, Any]]]:
        self.found = super().decode(*arguments)  # type: ignore[misc]
        return self.found


class _PointerJob(_Spans, SpanExtractionJob):
    """GlobalPointer."""


class _TagJob(_Spans, SequenceLabelingJob):
    """A CRF, a MEMM or a softmax."""


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a head from scratch and score it: on all entities, and the share found of those that overlap others."""
    name, head, epochs = setting["data"], setting["head"], _EPOCHS[setting["data"]]
    files = sources.entity_file(name, "train"), sources.entity_file(name, setting["part"])
    job: _PointerJob | _TagJob
    if head == "GlobalPointer":
        job = _PointerJob(*files, config=encoder_config(sources))
    else:
        job = _TagJob(*files, config=encoder_config(sources), head_options={"sequence_head": head.lower()})
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


def draw(figure: "Figure", results: Results) -> None:
    """F1 on each data set, and the share found of the overlapping entities."""
    left, right = figure.subplots(1, 2, width_ratios=(5, 2))
    heads = EXPERIMENT.sides
    grouped_bars(
        left,
        [case["data"] for case in EXPERIMENT.cases],
        {head: [results.values("f1", data=case["data"], head=head) for case in EXPERIMENT.cases] for head in heads},
    )
    left.set_ylabel("F1, exact spans")
    left.set_title("all entities (flat: the first three; nested: the last two)")
    grouped_bars(
        right,
        _NESTED,
        {head: [results.values("nested_recall", data=name, head=head) for name in _NESTED] for head in heads},
    )
    right.set_ylabel("recall")
    right.set_title("entities that overlap others")
    legend_below(figure, left, "head")


EXPERIMENT = Experiment(
    name="entities",
    cases=[{"data": name} for name in (*_FLAT, *_NESTED)],
    side="head",
    sides=("GlobalPointer", "CRF", "MEMM", "softmax"),
    rates=(1e-3, 3e-3),
    score="f1",
    run=run,
    draw=draw,
    measures=("f1", "nested_recall", "cpu_s"),
)
