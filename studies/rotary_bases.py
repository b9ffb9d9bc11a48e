"""Masked characters with positions by rotation, of two bases and of learnt frequencies (kexue.fm/archives/8231)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

import hf_ext
from studies import judgements
from studies.descent import at_the_end, descend
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES: dict[str, dict[str, Any]] = {
    "1000": {"rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}},
    "10000": {},
    "learnt": {"trainable_frequencies": True},
    "no positions": {},
}
_SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    # As of the other masked models of this width, which learn sooner with it than with 0.02.
    "initializer_range": 0.08,
}
_LENGTH, _ROWS, _STEPS = 64, 32, 1000
_MASKED = 0.15
# Set beforehand for all sides: the best of three for log n's model of this size.
_RATE = 2e-3


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a RoFormer to fill masks, and ask it on held-out texts."""
    side, data = setting["positions"], sources.data
    config = hf_ext.RoFormerConfig(**_SIZES, **SIDES[side], vocab_size=judgements.vocabulary_size(data))
    model = hf_ext.RoFormerForMaskedLM(config)
    begin = frequencies(model)
    texts = judgements.rows(data, "train", _LENGTH)
    # Of its own, so that all models see the same rows and masks.
    generator = torch.Generator().manual_seed(seed)

    def logits_and_wanted(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        given, places = judgements.masked(rows, _MASKED, generator)
        # In float32: at this width bfloat16 takes longer.
        return model.cls(states(model, given, side)[places]), rows[places]

    def loss() -> Tensor:
        rows = texts[torch.randint(len(texts), (_ROWS,), generator=generator)]
        return F.cross_entropy(*logits_and_wanted(rows, generator))

    steps = 2 if sources.quick else _STEPS
    losses = descend(model, loss, steps, _RATE)
    with torch.no_grad():
        rows = judgements.rows(data, setting["part"], _LENGTH)
        logits, wanted = logits_and_wanted(rows, torch.Generator().manual_seed(0))
    return {
        "accuracy": (logits.argmax(-1) == wanted).double().mean().item(),
        "loss": F.cross_entropy(logits, wanted).item(),
        # As a factor, of the frequency that has changed most.
        "moved": "" if begin is None else (frequencies(model) - begin).abs().max().exp().item(),
        "loss_in_training": at_the_end(losses),
        "steps": steps,
        "rate": _RATE,
        "scored": len(wanted),
        "parameters": model.num_parameters(),
    }


def states(model: Any, rows: Tensor, side: str) -> Tensor:
    """The last hidden states ``[B, L, H]`` of a side's model."""
    # Equal positions are turned alike, so that no distance is left.
    positions = torch.arange(rows.shape[1])[None] * (side != "no positions")
    # With a mask, as positions that do not grow would start documents.
    found: Tensor = model.base_model(rows, torch.ones_like(rows), position_ids=positions).last_hidden_state
    return found


def frequencies(model: Any) -> Any:
    """The logarithms of the frequencies that a model learns, if it does."""
    rotary = getattr(model.base_model, "rotary", None)
    return None if rotary is None else rotary.log_frequencies.detach().clone()


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy and loss of each side."""
    for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss")):
        sides = {side: [results.values(measure, positions=side)] for side in SIDES}
        grouped_bars(axes, [""], sides)
        axes.set_ylabel(f"{measure} at masked characters")
        found = [value for values in sides.values() for value in values[0]]
        # Differences are small beside the numbers themselves, which after two steps may all be 0.
        axes.set_ylim(0.9 * min(found), 1.05 * max(found) or 1)
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="rotary_bases",
    cases=[{"data": "judgements"}],
    side="positions",
    sides=tuple(SIDES),
    score="accuracy",
    run=run,
    draw=draw,
    measures=("accuracy", "loss", "moved"),
)
