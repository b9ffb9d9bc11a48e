"""Which models can say where each of equal tokens stands (kexue.fm/archives/9105)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel

import hf_ext
from hf_ext.analysis import probe_positions
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZES: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_UNITS: dict[str, Any] = _SIZES | {"num_attention_heads": 1, "attention_key_size": 32}
_PLAIN: dict[str, Any] = {"gain": None}
_LENGTHS = (16, 32)
_STEPS, _ROWS = 200, 4
# Ids that no row repeats.
_SPECIAL = 2


@dataclass(frozen=True)
class Side:
    """A model, and whether special tokens stand around the equal ones."""

    config: Callable[..., PreTrainedConfig]
    fields: Mapping[str, Any]
    special_tokens: bool = False


SIDES: dict[str, Side] = {
    "absolute": Side(hf_ext.UniLMBertConfig, _SIZES | {"attention_mode": "bidirectional"}),
    "RoPE": Side(hf_ext.RoFormerConfig, _SIZES),
    "RoPE, causal": Side(hf_ext.RoFormerConfig, _SIZES | {"attention_mode": "causal"}),
    "T5's bias": Side(hf_ext.URPEConfig, _SIZES | _PLAIN),
    "GAU, softmax": Side(hf_ext.GAUAlphaConfig, _UNITS),
    "NEZHA": Side(hf_ext.NezhaConfig, _SIZES),
    "URPE": Side(hf_ext.URPEConfig, _SIZES),
    "bias and l2": Side(hf_ext.URPEConfig, _SIZES | _PLAIN | {"attention_normalization": "l2"}),
    "GAU, l2": Side(hf_ext.GAUAlphaConfig, _UNITS | {"attention_normalization": "l2"}),
    "FLASH": Side(hf_ext.FLASHConfig, _UNITS | {"attention": "quadratic"}),
    "RoPE, [CLS] [SEP]": Side(hf_ext.RoFormerConfig, _SIZES, special_tokens=True),
}


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a model to say where each of equal tokens stands, and ask it of every token."""
    side, length = SIDES[setting["model"]], setting["length"]
    model: Any = AutoModelForTokenClassification.from_config(side.config(**side.fields, num_labels=length))
    steps = 20 if sources.quick else _STEPS

    def loss() -> Tensor:
        tokens = torch.randint(_SPECIAL, model.config.vocab_size, (_ROWS,))
        logits = answers(model, tokens, length, side.special_tokens)
        return F.cross_entropy(logits.flatten(0, 1), torch.arange(length).repeat(_ROWS))

    losses = descend(model, loss, steps, setting["learning_rate"], weight_decay=0.0)
    # In float64, so that rounding does not choose among equal scores.
    model = model.double()
    with torch.no_grad():
        logits = answers(model, scored_tokens(setting["part"]), length, side.special_tokens)
    around = ([0], [1]) if side.special_tokens else ([], [])
    return {
        "accuracy": float((logits.argmax(-1) == torch.arange(length)).double().mean()),
        # As text, since four digits after the point would be zeros.
        "spread": f"{probe_positions(model, length, None, *around).spread:.0e}",
        "loss": losses[-1],
        "steps": steps,
        "parameters": model.num_parameters(),
    }


def scored_tokens(part: str) -> Tensor:
    """Every second token for the choice of a rate, on "dev", and the others for the report, on "test"."""
    return torch.arange(_SPECIAL + (part == "test"), _SIZES["vocab_size"], 2)


def answers(model: PreTrainedModel, tokens: Tensor, length: int, special_tokens: bool) -> Tensor:
    """Scores ``[B, length, length]`` of places, of rows that repeat ``tokens`` ``[B]``, without special tokens."""
    ids = tokens[:, None].expand(-1, length)
    if special_tokens:
        ids = torch.cat((torch.zeros_like(ids[:, :1]), ids, torch.ones_like(ids[:, :1])), 1)
    logits: Tensor = model(input_ids=ids).logits
    return logits[:, 1:-1] if special_tokens else logits


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy of each model, at both lengths."""
    axes = figure.subplots()
    sides = {
        f"{length} equal tokens": [results.values("accuracy", length=length, model=model) for model in SIDES]
        for length in _LENGTHS
    }
    grouped_bars(axes, [model.replace(", ", ",\n").replace(" and ", "\nand ") for model in SIDES], sides)
    for length in _LENGTHS:
        axes.axhline(1 / length, color="black", linestyle=":", linewidth=1)
    axes.set_ylabel("accuracy; dotted: one in so many")
    legend_below(figure, axes)


EXPERIMENT = Experiment(
    name="equal_inputs",
    cases=[{"length": length} for length in _LENGTHS],
    side="model",
    sides=tuple(SIDES),
    score="accuracy",
    run=run,
    draw=draw,
    rates=(1e-3, 3e-3),
    measures=("accuracy",),
)
