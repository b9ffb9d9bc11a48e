"""Kernels of linear attention beside softmax, masked and causal, and what their matrices are like.

The claims are those of kexue.fm/archives/8338.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

import hf_ext
from studies import judgements
from studies.attention_matrices import materialise, matrices_of, mean_entropy, mean_rank, negative_share
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "use_cache": False,
    # 0.02 is for models of 768.
    "initializer_range": 0.08,
}
_HEAD = 32
_LENGTH = 128
_WINDOW = 33
_BATCH = 16
# A masked text asks for fewer characters, and is the slower to learn.
_STEPS = {"causal": 200, "masked": 600}
# With fewer, softmax has hardly begun to learn after so many steps.
_MASKED = 0.4
_MATRICES = 16
TASKS = tuple(_STEPS)


@dataclass(frozen=True)
class Side:
    """An attention.

    Attributes:
        kernel: of linear attention; None: softmax.
        times: how many times as many features as a head is wide.
        window: number of keys that a query sees; None: all.
        even: whether all keys count alike: queries that are 0 and stay so.
    """

    kernel: str | None = None
    times: int = 1
    window: int | None = None
    even: bool = False


SIDES: dict[str, Side] = {
    "softmax": Side(),
    "softmax, window": Side(window=_WINDOW),
    "equal weights": Side(even=True),
    **{kernel: Side(kernel) for kernel in ("exp", "elu", "cosine", "favor")},
    **{f"{kernel} x4": Side(kernel, 4) for kernel in ("exp", "favor")},
    "exp, window": Side("exp", window=_WINDOW),
}


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a model to predict characters, and look at its matrices."""
    side, causal = SIDES[setting["attention"]], setting["task"] == "causal"
    model = build(side, causal, judgements.vocabulary_size(sources.data))
    steps = 2 if sources.quick else _STEPS[setting["task"]]
    texts = judgements.rows(sources.data, "train", _LENGTH)
    # Of its own, so that all models see the same rows and masks.
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        batch = texts[torch.randint(len(texts), (_BATCH,), generator=generator)]
        return F.cross_entropy(*predictions(model, batch, causal, generator))

    descend(model, loss, steps, setting["learning_rate"])
    scored = judgements.rows(sources.data, setting["part"], _LENGTH)
    return {
        **scores(model, scored, causal),
        **shape_of_matrices(model, side, scored[:_MATRICES], causal),
        "parameters": model.num_parameters(only_trainable=True),
        "steps": steps,
    }


def build(side: Side, causal: bool, vocabulary: int) -> Any:
    """A model of random weights."""
    shared = {**_SIZES, "vocab_size": vocabulary, "is_decoder": causal}
    if side.kernel is None:
        kind: Any = hf_ext.RoFormerForCausalLM if causal else hf_ext.RoFormerForMaskedLM
        model: Any = kind(hf_ext.RoFormerConfig(**shared, attention_window=side.window))
    else:
        kind = hf_ext.LinearRoFormerForCausalLM if causal else hf_ext.LinearRoFormerForMaskedLM
        model = kind(
            hf_ext.LinearRoFormerConfig(**shared, attention_kernel=side.kernel, feature_size=_HEAD * side.times)
        )
        if side.window is not None:
            materialise(model, side.window)
    if side.even:
        for layer in model.base_model.encoder.layer:
            for parameter in layer.attention.self.query.parameters():
                parameter.requires_grad_(False).zero_()
    return model


def predictions(model: Any, ids: Tensor, causal: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Scores ``[P, V]`` of the characters that are asked for, and these ``[P]``.

    They are all but the first of each row ``[B, L]``, or those that ``generator`` draws to be masked.
    """
    if causal:
        shown, wanted, asked = ids[:, :-1], ids[:, 1:], torch.ones_like(ids[:, 1:], dtype=torch.bool)
    else:
        shown, asked = judgements.masked(ids, _MASKED, generator)
        wanted = ids
    # In float32: so narrow a softmax is slower in bfloat16, if linear attention is faster.
    states = model.base_model(shown).last_hidden_state
    return model.cls(states[asked]), wanted[asked]


@torch.no_grad()
def scores(model: Any, texts: Tensor, causal: bool) -> dict[str, Any]:
    """Accuracy and mean log-likelihood, in nats, of the characters of ``[R, L]``, of which all models see the same."""
    generator = torch.Generator().manual_seed(0)
    parts = [predictions(model, batch, causal, generator) for batch in texts.split(64)]
    logits, wanted = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    return {
        "log_likelihood": -F.cross_entropy(logits, wanted).item(),
        "accuracy": (logits.argmax(-1) == wanted).float().mean().item(),
        "scored": len(wanted),
    }


def shape_of_matrices(model: Any, side: Side, texts: Tensor, causal: bool) -> dict[str, float]:
    """Rank, entropy and share of negative weights, in float32, of a text as it is."""
    if side.kernel is None:
        model.set_attn_implementation("eager")
    elif side.window is None:
        materialise(model)
    found = matrices_of(model, texts)
    return {
        "rank": mean_rank(found),
        "entropy": mean_entropy(found, causal),
        "negative": negative_share(found),
    }


def draw(figure: "Figure", results: Results) -> None:
    """Log-likelihood, rank and entropy of each attention under both tasks."""
    titles = {"log_likelihood": "log-likelihood of a character, nats", "rank": "rank", "entropy": "entropy"}
    for axes, (measure, title) in zip(figure.subplots(1, len(titles)), titles.items()):
        sides = {task: [results.values(measure, task=task, attention=side) for side in SIDES] for task in TASKS}
        grouped_bars(axes, list(SIDES), sides)
        axes.tick_params(axis="x", rotation=90)
        axes.set_title(title)
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="linear_attention",
    cases=[{"task": task} for task in TASKS],
    side="attention",
    sides=tuple(SIDES),
    rates=(2e-3, 4e-3),
    score="log_likelihood",
    run=run,
    draw=draw,
    measures=("log_likelihood", "accuracy", "rank", "entropy", "negative", "parameters"),
)
