"""How a deep narrow network is to begin, so that it learns at all (kexue.fm/archives/8620, 8978)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, RobertaPreLayerNormConfig, TrainerControl, TrainerState, TrainingArguments

from hf_ext import UniLMBertConfig
from hf_ext.analysis import SecondMomentProbe
from hf_ext.modules import initialize_
from hf_ext.training import ResidualRamp
from studies import judgements
from studies.descent import at_the_end, descend
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEADS = 64, 2
_LENGTH, _BATCH, _STEPS = 32, 16, 200
# What a run that has gone astray is worth, in nats: less than a guess.
_WORST = -20.0
_QUICK_BLOCKS = 2


@dataclass(frozen=True)
class Side:
    """How a network begins.

    Attributes:
        pre_norm: whether norms stand before the sublayers, and not behind the sums.
        scheme: of `initialize_`, under which matrices keep the size of numbers, or make them smaller.
        warm_up: whether the learning rate rises at first.
        ramp: whether branches grow in the first half of the training.
        divided: whether scores are divided by the root of the size of a head.
    """

    pre_norm: bool = False
    scheme: str = "xavier"
    warm_up: bool = False
    ramp: bool = False
    divided: bool = True


SIDES = {
    "post-norm": Side(),
    "post-norm, warm-up": Side(warm_up=True),
    "post-norm, 0.02": Side(scheme="bert"),
    "DeepNorm": Side(scheme="deepnorm"),
    "ramp": Side(ramp=True),
    "pre-norm": Side(pre_norm=True),
    "pre-norm, undivided": Side(pre_norm=True, divided=False),
}


class Network(nn.Module):
    """A causal BERT of characters: its blocks are ours, or of the same parts in the order of pre-norm.

    What tells characters of states is a layer of its own, the same on all sides.
    """

    def __init__(self, side: Side, blocks: int, vocabulary: int) -> None:
        super().__init__()
        size: dict[str, Any] = {
            "vocab_size": vocabulary,
            "hidden_size": _WIDTH,
            "num_hidden_layers": blocks,
            "num_attention_heads": _HEADS,
            "intermediate_size": 4 * _WIDTH,
            "max_position_embeddings": _LENGTH + 1,
            "type_vocab_size": 1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "use_cache": False,
        }
        if side.pre_norm:
            config: Any = RobertaPreLayerNormConfig(**size, is_decoder=True, pad_token_id=0)
        else:
            config = UniLMBertConfig(**size, attention_mode="causal", pooler_activation=None)
        self.base_model: Any = AutoModel.from_config(config, **({"add_pooling_layer": False} if side.pre_norm else {}))
        initialize_(self.base_model, side.scheme)
        if not side.divided:
            for module in self.base_model.modules():
                if hasattr(module, "scaling"):
                    module.scaling = 1.0
        self.cls = nn.Linear(_WIDTH, vocabulary)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a causal model of characters in float32, and say what passes through it before."""
    side, blocks = SIDES[setting["network"]], setting["blocks"]
    vocabulary = judgements.vocabulary_size(sources.data)
    model = Network(side, _QUICK_BLOCKS if sources.quick else blocks, vocabulary)
    texts = judgements.rows(sources.data, "train", _LENGTH)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        batch = texts[torch.randint(len(texts), (_BATCH,), generator=generator)]
        return F.cross_entropy(*judgements.predictions(model, batch, True, generator))

    signal = passing(model, loss)
    steps = 2 if sources.quick else _STEPS
    losses = train(model, loss, side, steps, setting["learning_rate"])
    found = judgements.scores(model, judgements.rows(sources.data, setting["part"], _LENGTH), True)
    # A number that is none would be neither better nor worse than any other.
    if not math.isfinite(found["log_likelihood"]):
        found["log_likelihood"] = _WORST
    return {
        **found,
        **signal,
        "loss_in_training": at_the_end(losses),
        "steps": steps,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def passing(model: Network, loss: Any) -> dict[str, float]:
    """The largest weight of a query, on average, and the gradient's size in the first block beside that in the last."""
    with SecondMomentProbe(model.base_model, r"encoder\.layer\.\d+(\..*)?") as probe:
        loss().backward()
    model.zero_grad()
    blocks = [row for row in probe.rows if row.kind == "gradient" and row.module.count(".") == 2]
    squares = {int(row.module.rpartition(".")[2]): row.mean_square for row in blocks}
    return {
        "largest_weight": mean(row.mean for row in probe.rows if row.kind == "largest weight"),
        "gradient_ratio": (squares[min(squares)] / squares[max(squares)]) ** 0.5,
    }


def train(model: Network, loss: Any, side: Side, steps: int, rate: float) -> list[float]:
    """Train a side's network as it wants to be trained; returns the loss of each step."""
    if not side.ramp:
        return descend(model, loss, steps, rate, warm_up=side.warm_up)
    ramp = ResidualRamp(max(1, steps // 2))
    ramp.attach(model.base_model)
    state, control, arguments = TrainerState(), TrainerControl(), TrainingArguments(report_to="none")

    def step() -> Tensor:
        ramp.on_step_begin(arguments, state, control)
        state.global_step += 1
        found: Tensor = loss()
        return found

    losses = descend(model, step, steps, rate, warm_up=side.warm_up)
    ramp.detach()
    return losses


def draw(figure: "Figure", results: Results) -> None:
    """What each network comes to, deep and shallow, and what its attention and gradients are like at first."""
    titles = {
        "log_likelihood": "log-likelihood of a character, nats",
        "largest_weight": "largest weight of a query at first",
        "gradient_ratio": "gradient at first: first block over last",
    }
    for axes, (measure, title) in zip(figure.subplots(1, len(titles)), titles.items()):
        sides = {
            f"{case['blocks']} blocks": [results.values(measure, **case, network=side) for side in SIDES]
            for case in EXPERIMENT.cases
        }
        grouped_bars(axes, list(SIDES), sides)
        axes.tick_params(axis="x", rotation=90)
        axes.set_title(title)
    figure.axes[-1].set_yscale("log")
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="deep_networks",
    # Rates are chosen for the deep ones; the shallow ones tell what depth is to blame for.
    cases=[{"blocks": 24}, {"blocks": 6}],
    side="network",
    sides=tuple(SIDES),
    rates=(3e-4, 1e-3, 3e-3),
    score="log_likelihood",
    run=run,
    draw=draw,
    measures=("log_likelihood", "accuracy", "largest_weight", "gradient_ratio"),
)
