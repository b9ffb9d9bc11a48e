"""GlobalPointer from few texts: two passes that agree, and texts without entities (kexue.fm/archives/9039)."""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from hf_ext.tasks.entities import SpanExtractionJob, write_entities
from hf_ext.training import span_divergence
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Sources
from studies.study import Experiment, Results, Setting
from studies.training import training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS, _PRETRAINING_STEPS = 2, 600
_RATE, _STEPS = 1e-3, 120
_XI, _EPSILON = 1.5, 0.3
_PLAIN, _LONGER, _TWICE, _R_DROP, _SOFTMAX, _VAT = (
    "plain",
    "plain, twice the steps",
    "two passes",
    "R-Drop",
    "R-Drop, softmax",
    "VAT",
)
# Weights of a divergence that is a sum over all spans, which dropout alone makes large.
_STRENGTHS: dict[str, tuple[float, ...]] = {
    _PLAIN: (0.0,),
    _LONGER: (0.0,),
    _TWICE: (0.0,),
    _R_DROP: (0.004, 0.04, 0.4),
    _SOFTMAX: (0.04, 0.4, 4.0),
    _VAT: (0.001, 0.01, 0.1),
}


def softmax_divergence(first: Tensor, second: Tensor, labels: Any = None) -> Tensor:
    """How far softmax distributions over all spans of a type are apart: a mean over rows and types.

    Args:
        first: scores ``[B, C, L, L]``, -inf where no span may stand.
        second: the same of the other pass.
        labels: not read.
    """
    return span_divergence(first.flatten(0, 1), second.flatten(0, 1))


class _SoftmaxJob(SpanExtractionJob):
    """GlobalPointer whose passes are compared as if each type had one span."""

    divergence = staticmethod(softmax_divergence)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a GlobalPointer on a few texts that the seed draws, by a method, and score it."""
    side, data, strength = setting["learning"], setting["data"], setting["strength"]
    few, more = sources.folder / "few.jsonl", sources.folder / "more.jsonl"
    drawn, others = draw_of_every_type(sources.entities(data, "train"), setting["texts"], seed)
    write_entities(few, drawn)
    # In quick runs there are no others.
    write_entities(more, ({"text": one["text"], "entities": []} for one in others or drawn))
    options: dict[str, Any] = {}
    if side in (_TWICE, _R_DROP, _SOFTMAX):
        options = {"r_drop": strength}
    elif side == _VAT:
        options = {
            "adversarial": "vat",
            "adversarial_epsilon": _EPSILON,
            "vat_xi": _XI,
            "vat_weight": strength,
            "unlabelled_file": more,
        }
    kind = _SoftmaxJob if side == _SOFTMAX else SpanExtractionJob
    encoder = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS)
    job = kind(few, sources.entity_file(data, setting["part"]), model=encoder, overwrite=True, **options)
    steps = 2 * _STEPS if side == _LONGER else _STEPS
    scores = job.run(training_arguments(sources, seed, 1, _RATE, **({} if sources.quick else {"max_steps": steps})))
    return {"f1": scores["f1"], "precision": scores["precision"], "recall": scores["recall"], "steps": steps}


def draw_of_every_type(texts: list[Any], count: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Texts that the seed draws, with one of each type of entities among them, and the others."""
    random.Random(seed).shuffle(texts)
    count = min(count, len(texts))
    known: set[str] = set()
    needed = []
    for place, one in enumerate(texts):
        types = {entity["label"] for entity in one["entities"]}
        if not types <= known:
            known |= types
            needed.append(place)
    late = [place for place in needed if place >= count]
    # The last ones go whose types others have.
    spare = [place for place in range(count) if place not in needed][-len(late) :] if late else []
    chosen = [*late, *(place for place in range(count) if place not in spare)]
    return [texts[place] for place in chosen], [one for place, one in enumerate(texts) if place not in chosen]


def draw(figure: "Figure", results: Results) -> None:
    """F1, precision and recall on each data set."""
    names = [f"{case['data']}, {case['texts']} texts" for case in EXPERIMENT.cases]
    for axes, measure in zip(figure.subplots(1, 3, sharey=True), ("f1", "precision", "recall")):
        sides = {
            side: [results.values(measure, **case, learning=side) for case in EXPERIMENT.cases] for side in _STRENGTHS
        }
        grouped_bars(axes, names, sides)
        axes.set_title(measure)
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="r_drop_entities",
    cases=[{"data": "resume", "texts": 200}, {"data": "weibo", "texts": 400}],
    side="learning",
    sides=tuple(_STRENGTHS),
    rates=_STRENGTHS,
    tunes="strength",
    score="f1",
    run=run,
    draw=draw,
    measures=("f1", "precision", "recall", "cpu_s"),
)
