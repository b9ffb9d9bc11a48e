"""From which length on the time of a layer is that of attention, beside the counts (kexue.fm/archives/8610)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AutoModel

from benchmarks.harness import compare
from hf_ext import LinearRoFormerConfig, RoFormerConfig
from hf_ext.analysis import crossovers, layer_cost
from studies.drawing import legend_below, lines
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAD, _LAYERS = 64, 2
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
_QUICK_LENGTHS = (16, 32, 64)
_HIDDEN = (128, 256)
_EAGER, _SDPA, _LINEAR = SIDES = ("eager", "sdpa", "linear")


def config_of(side: str, hidden: int) -> Any:
    """The config of two blocks."""
    kind: Any = LinearRoFormerConfig if side == _LINEAR else RoFormerConfig
    return kind(
        vocab_size=1000,
        hidden_size=hidden,
        num_hidden_layers=_LAYERS,
        num_attention_heads=hidden // _HEAD,
        intermediate_size=4 * hidden,
        max_position_embeddings=max(LENGTHS),
    )


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Time the forward pass over one text of each length."""
    side = setting["attention"]
    config = config_of(side, setting["hidden"])
    options = {} if side == _LINEAR else {"attn_implementation": side}
    model = AutoModel.from_config(config, **options).eval()
    measures: dict[str, Any] = {}
    seconds = []
    lengths = _QUICK_LENGTHS if sources.quick else LENGTHS
    for length in lengths:
        ids = torch.randint(config.vocab_size, (1, length))

        def forward(ids: Tensor = ids) -> Any:
            with torch.no_grad():
                return model(ids)

        measured = compare({side: forward})[side]
        seconds.append(measured.least / length / _LAYERS)
        # Of a token in a layer.
        measures[f"us_{length}"] = seconds[-1] * 1e6
        measures[f"mb_{length}"] = measured.peak_bytes / 2**20
    counted = [layer_cost(config, length).total / length for length in lengths]
    return {
        "bend": bend(lengths, seconds),
        "counted_bend": bend(lengths, counted),
        "exact_bend": crossovers(config).get("quadratic", ""),
        **{f"us_{length}": "" for length in LENGTHS},
        **measures,
    }


def bend(lengths: Sequence[int], costs: Sequence[float]) -> float | str:
    """The length at which what grows with the length is half of what a token costs, where ``a + b n`` fits best.

    Errors count as parts of the costs. Nothing if costs do not grow.
    """
    places, values = (torch.tensor(one, dtype=torch.float64) for one in (lengths, costs))
    terms = torch.stack([torch.ones_like(places), places], -1) / values[:, None]
    start, slope = torch.linalg.lstsq(terms, torch.ones_like(values)[:, None]).solution.flatten().tolist()
    # No more than rounding, of costs that are all the same.
    return start / slope if slope * max(lengths) > 1e-9 * abs(start) else ""


def draw(figure: "Figure", results: Results) -> None:
    """Time of a token over the length of the text."""
    for axes, hidden in zip(figure.subplots(1, len(_HIDDEN)), _HIDDEN):
        sides = {
            side: [results.values(f"us_{length}", hidden=hidden, attention=side) for length in LENGTHS]
            for side in SIDES
        }
        lines(axes, LENGTHS, sides)
        axes.axvline(crossovers(config_of(_EAGER, hidden))["quadratic"], color="black", linestyle=":", label="6 H")
        axes.set(title=f"{hidden} wide", xlabel="tokens of a text", ylabel="microseconds a token", xscale="log")
        axes.minorticks_off()
        axes.set_xticks(LENGTHS, list(map(str, LENGTHS)))
        axes.set_ylim(bottom=0)
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="layer_times",
    cases=[{"hidden": hidden} for hidden in _HIDDEN],
    side="attention",
    sides=SIDES,
    score="bend",
    run=run,
    draw=draw,
    measures=("bend", "counted_bend", *(f"us_{length}" for length in LENGTHS)),
)
