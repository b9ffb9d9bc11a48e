"""Few labels as words in a cloze, beside a linear head on the same encoder (kexue.fm/archives/7764)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.cloze import ClozeJob
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Sources, draw_of_each_class, write_json_lines
from studies.study import Experiment, Results, Setting
from studies.training import training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DATA = "sentiment"
_LAYERS, _PRETRAINING_STEPS = 2, 1500
_EPOCHS = 20
_HEAD, _EXCHANGED = "linear head", "P1, words exchanged"
_WORDS = {"0": "不", "1": "很"}
# The article's, in its order.
PATTERNS = {
    "P1": "{mask}满意。{text}",
    "P2": "{text}。{mask}满意。",
    "P3": "{mask}好。{text}",
    "P4": "{mask}理想。{text}",
    "P5": "感觉如何？{mask}满意。{text}",
}
SIDES = (_HEAD, *PATTERNS, _EXCHANGED)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Fine-tune a small encoder on a few labels, and score it; a cloze also before."""
    side, train = setting["learning"], sources.folder / "few.jsonl"
    few, _ = draw_of_each_class(sources.labelled(_DATA, "train"), setting["texts_of_a_class"], seed)
    write_json_lines(train, few)
    files = train, sources.labelled_file(_DATA, setting["part"])
    encoder = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS, "reviews")
    job: Any
    if side == _HEAD:
        job = ClassificationJob(*files, model=encoder, overwrite=True)
    else:
        pattern = PATTERNS[side.partition(",")[0]]
        job = ClozeJob(*files, model=encoder, pattern=pattern, verbalizer=words_of(side), overwrite=True)
    # Each epoch masks other tokens of the few texts, in batches that are drawn anew.
    options = {"train_sampling_strategy": "random"}
    scores = job.run(training_arguments(sources, seed, _EPOCHS, setting["learning_rate"], **options))
    return {
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        # Of a new head it says nothing.
        "accuracy_before": scores.get("accuracy_before", ""),
        "epochs": _EPOCHS,
    }


def words_of(side: str) -> dict[str, str]:
    """The word of each class; exchanged they say the opposite of what is meant."""
    return dict(zip(_WORDS, reversed(_WORDS.values()))) if side == _EXCHANGED else _WORDS


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy of each side, after training with few labels and before any."""
    after, before = figure.subplots(1, 2, sharey=True)
    cases = {f"{2 * case['texts_of_a_class']} labels": case for case in EXPERIMENT.cases}
    found = {
        name: [results.values("accuracy", **case, learning=side) for side in SIDES] for name, case in cases.items()
    }
    grouped_bars(after, SIDES, found)
    zero = [results.values("accuracy_before", **EXPERIMENT.cases[0], learning=side)[:1] for side in SIDES[1:]]
    grouped_bars(before, SIDES[1:], {"no label": zero})
    for axes, title in ((after, "after training"), (before, "before any label")):
        axes.axhline(0.5, color="black", linestyle=":", linewidth=1)
        axes.tick_params(axis="x", rotation=45)
        axes.set_title(title)
    after.set_ylabel("accuracy; dotted: chance")
    legend_below(figure, after)


EXPERIMENT = Experiment(
    name="cloze",
    cases=[{"texts_of_a_class": 16}, {"texts_of_a_class": 64}],
    side="learning",
    sides=SIDES,
    rates=(3e-4, 1e-3),
    score="accuracy",
    run=run,
    draw=draw,
    measures=("accuracy", "accuracy_before", "macro_f1"),
)
