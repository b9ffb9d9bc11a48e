"""Do random positions in training help beyond its length (kexue.fm/archives/9444, arXiv 2305.16843)?"""

from collections.abc import Mapping
from statistics import mean
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from transformers import AutoModelForTokenClassification, default_data_collator

from hf_ext import RoFormerConfig
from hf_ext.training import DataCollatorWithRandomPositions
from studies.che_tasks import TASKS, encoder_batch
from studies.descent import at_the_end, descend
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHORTEST, TRAINED = 3, 20
WITHIN = (5, 10, 15, 20)
BEYOND = (21, 30, 40, 50, 60, 70, 80, 90, 100)
# Texts of 100 symbols, and as many of their answers, need 200.
_TOP = 256
_STEPS, _ROWS, _SCORED = 1500, 32, 64
_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    # 0.02 is for models of 768: with it one so narrow does not learn within 1,000 steps what is missing in a copy.
    "initializer_range": 0.12,
}


class Side(NamedTuple):
    """How a model is trained.

    Attributes:
        positions: arguments of the collator; None: positions count from 0.
        log_n: field of the config.
    """

    positions: Mapping[str, Any] | None = None
    log_n: str | None = None


_SUBSET = {"scheme": "subset", "top": _TOP, "evaluation": "even"}
_EQUAL_MEAN = {"scheme": "equal_mean"}
SIDES: dict[str, Side] = {
    "none": Side(),
    "log n": Side(log_n="always"),
    "shift": Side({"scheme": "shift", "top": _TOP}),
    "subset": Side(_SUBSET),
    "equal mean": Side(_EQUAL_MEAN),
    "equal mean, log n": Side(_EQUAL_MEAN, "always"),
}


def batch(task: str, rows: int, length: int, positions: Mapping[str, Any] | None, training: bool) -> dict[str, Tensor]:
    """What a model is given: texts of a length with blanks, answers, and positions as a side has them."""
    collator: Any = default_data_collator
    if positions is not None:
        collator = DataCollatorWithRandomPositions(collator, **positions, training=training)
    ids, labels = encoder_batch(task, rows, length)
    found: dict[str, Tensor] = collator([{"input_ids": a, "labels": b} for a, b in zip(ids, labels)])
    return found


def longest_row(task: str) -> int:
    """Tokens of the longest rows of training, blanks among them: the base of log n."""
    return encoder_batch(task, 1, TRAINED)[0].shape[1]


@torch.no_grad()
def accuracies(
    model: Any, task: str, rows: int, length: int, positions: Mapping[str, Any] | None
) -> tuple[float, float]:
    """The share of right answer symbols in texts of a length, and what always giving the commonest would have."""
    inputs = batch(task, rows, length, positions, training=False)
    labels = inputs.pop("labels")
    asked = labels >= 0
    right = model(**inputs).logits.argmax(-1)[asked] == labels[asked]
    return float(right.double().mean()), float(labels[asked].bincount().max() / asked.sum())


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train on short texts, and score short and long ones."""
    side, task = SIDES[setting["positions"]], setting["task"]
    config = RoFormerConfig(
        # Padding, and the blank.
        vocab_size=TASKS[task].symbols + 2,
        log_n=side.log_n,
        max_position_embeddings=longest_row(task),
        **_SIZES,
    )
    config.num_labels = TASKS[task].classes
    model: Any = AutoModelForTokenClassification.from_config(config)

    def loss() -> Tensor:
        length = int(torch.randint(_SHORTEST, TRAINED + 1, ()))
        now: Tensor = model(**batch(task, _ROWS, length, side.positions, training=True)).loss
        return now

    losses = descend(model, loss, 2 if sources.quick else _STEPS, setting["learning_rate"])
    # The same texts for all sides and seeds, and others for development.
    torch.manual_seed(1 if setting["part"] == "dev" else 2)
    rows = 2 if sources.quick else _SCORED
    found = {length: accuracies(model, task, rows, length, side.positions) for length in (*WITHIN, *BEYOND)}
    return {
        "within": mean(found[length][0] for length in WITHIN),
        "beyond": mean(found[length][0] for length in BEYOND),
        "majority": mean(found[length][1] for length in BEYOND),
        **{f"at_{length}": found[length][0] for length in BEYOND},
        "loss": at_the_end(losses),
        "parameters": model.num_parameters(),
    }


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy within the length of training and beyond it."""
    tasks = [case["task"] for case in EXPERIMENT.cases]
    titles = {"within": f"up to {TRAINED} symbols", "beyond": f"{BEYOND[0]} to {BEYOND[-1]} symbols"}
    for axes, (measure, title) in zip(figure.subplots(1, 2, sharey=True), titles.items()):
        sides = {side: [results.values(measure, task=task, positions=side) for task in tasks] for side in SIDES}
        grouped_bars(axes, [task.replace("_", "\n") for task in tasks], sides)
        axes.set_title(title)
    for place, task in enumerate(tasks):
        majority = results.values("majority", task=task)[:1]
        figure.axes[1].hlines(majority, place - 0.45, place + 0.45, "black", "dotted")
    figure.axes[0].set_ylabel("accuracy; dotted: always the commonest")
    legend_below(figure, figure.axes[0], "positions in training")


EXPERIMENT = Experiment(
    name="random_positions",
    cases=[{"task": task} for task in ("bucket_sort", "missing_duplicate", "even_pairs")],
    side="positions",
    sides=tuple(SIDES),
    # Chosen by sorting, where it makes no difference, 3e-3 was too much for the other tasks.
    rates=(1e-3,),
    score="within",
    run=run,
    draw=draw,
    measures=("within", "beyond", "majority"),
)
