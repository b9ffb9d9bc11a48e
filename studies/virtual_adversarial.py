"""Virtual adversarial training with few labels and many texts without (kexue.fm/archives/7466)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_ext.tasks.classification import ClassificationJob
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Sources, draw_of_each_class, write_json_lines
from studies.study import Experiment, Results, Setting
from studies.training import training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS, _PRETRAINING_STEPS = 2, 600
_RATE, _STEPS = 1e-3, 120
_DATA = "sentiment"
# The original's 10, by as much as our matrix of embeddings has fewer numbers: each is moved as far.
_XI = 1.5
_ALONE, _LONGER, _NOISE, _OWN, _VAT = (
    "labels alone",
    "labels alone, as many passes",
    "noise",
    "VAT, labelled texts alone",
    "VAT",
)
# Passes, forward and backward, that a step takes; one forward alone is a third.
_PASSES = {_ALONE: 1.0, _LONGER: 1.0, _NOISE: 2.3, _OWN: 3.3, _VAT: 3.3}
_STRENGTHS: dict[str, tuple[float, ...]] = {
    _ALONE: (0.0,),
    _LONGER: (0.0,),
    _NOISE: (0.03, 0.1, 0.3, 1.0),
    _OWN: (0.03, 0.1, 0.3, 1.0),
    _VAT: (0.03, 0.1, 0.3, 1.0),
}


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Fine-tune a small encoder on a few labels, by a method that may see other texts without theirs, and score it."""
    side, labelled, unlabelled = setting["learning"], sources.folder / "few.jsonl", sources.folder / "more.jsonl"
    few, more = draw_of_each_class(sources.labelled(_DATA, "train"), setting["texts_of_a_class"], seed)
    write_json_lines(labelled, few)
    # In quick runs none are left.
    write_json_lines(unlabelled, ({"text": one["text"]} for one in more or few))
    encoder = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS)
    job = ClassificationJob(
        labelled,
        sources.labelled_file(_DATA, setting["part"]),
        model=encoder,
        overwrite=True,
        **options_of(side, setting["epsilon"], unlabelled),
    )
    steps = round(_STEPS * _PASSES[_VAT]) if side == _LONGER else _STEPS
    settings = {} if sources.quick else {"max_steps": steps}
    scores = job.run(training_arguments(sources, seed, 1, _RATE, **settings))
    return {
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "steps": steps,
        "passes": steps * _PASSES[side],
        "labelled_texts": len(few),
        "other_texts": len(more) if "unlabelled_file" in options_of(side, 1.0, unlabelled) else 0,
    }


def options_of(side: str, epsilon: float, unlabelled: Any) -> dict[str, Any]:
    """What the job of a side is told of virtual adversarial training."""
    if side in (_ALONE, _LONGER):
        return {}
    if side == _NOISE:
        options: dict[str, Any] = {"vat_iterations": 0}
    else:
        options = {"vat_xi": _XI}
    if side != _OWN:
        options["unlabelled_file"] = unlabelled
    return {"adversarial": "vat", "adversarial_epsilon": epsilon, **options}


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy for each number of labels."""
    names = [f"{2 * case['texts_of_a_class']} labels" for case in EXPERIMENT.cases]
    axes = figure.subplots()
    sides = {side: [results.values("accuracy", **case, learning=side) for case in EXPERIMENT.cases] for side in _PASSES}
    grouped_bars(axes, names, sides)
    # Chance has half of them right.
    axes.axhline(0.5, color="black", linestyle=":", linewidth=1)
    axes.set_ylim(0.4, 1.0)
    axes.set_ylabel("accuracy; dotted: chance")
    legend_below(figure, axes)


EXPERIMENT = Experiment(
    name="virtual_adversarial",
    cases=[{"texts_of_a_class": 50}, {"texts_of_a_class": 10}],
    side="learning",
    sides=tuple(_PASSES),
    rates=_STRENGTHS,
    tunes="epsilon",
    score="accuracy",
    run=run,
    draw=draw,
    measures=("accuracy", "macro_f1", "passes", "cpu_s"),
)
