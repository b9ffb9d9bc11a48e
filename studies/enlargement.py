"""Is a language model better begun small and enlarged, or large from the first step (kexue.fm/archives/8444)?"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hf_ext
from hf_ext.analysis import head_cost, layer_cost
from studies import judgements
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL, LARGE = 32, 128
FACTOR = LARGE // SMALL
# What a large model from scratch is given, and what the small one has before it grows.
STEPS, _SMALL_STEPS = 600, 900
_HEAD, _LAYERS = 32, 2
_LENGTH, _BATCH = 64, 16
# Set beforehand; the sides choose theirs for what comes after.
_SMALL_RATE = 6e-3
_FROM_SCRATCH, _STAYS, _SHUFFLED = "large from scratch", "small", "enlarged, shuffled"
NOISES = {"enlarged, noise 0": 0.0, "enlarged, noise 0.1": 0.1, "enlarged, noise 0.5": 0.5}
SIDES = (_FROM_SCRATCH, _STAYS, *NOISES, _SHUFFLED)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a causal model of characters at the price of a large one from scratch, and ask it on other judgements."""
    side, vocabulary = setting["start"], judgements.vocabulary_size(sources.data)
    early = 2 if sources.quick else _SMALL_STEPS
    late = 2 if sources.quick else steps_left(early, vocabulary)
    scored = judgements.rows(sources.data, setting["part"], _LENGTH)
    before: Any = ""
    model = language_model(LARGE, vocabulary)
    if side == _FROM_SCRATCH:
        early, late = 0, 2 if sources.quick else STEPS
    else:
        small = language_model(SMALL, vocabulary)
        small.load_state_dict(trained_small(seed, sources))
        model = small if side == _STAYS else grown(small, side, seed)
        before = judgements.scores(model, scored, causal=True)["log_likelihood"]
    train(model, late, setting["learning_rate"], seed + 1000, sources)
    early_price, price = training_cost(SMALL, vocabulary), training_cost(model.config.hidden_size, vocabulary)
    return {
        **judgements.scores(model, scored, causal=True),
        "before": before,
        "apart": copies_apart(model) if side in NOISES else "",
        # In thousands of millions.
        "multiplications": (early * early_price + late * price) / 1e9,
        "steps": early + late,
        "parameters": model.num_parameters(),
    }


def language_model(width: int, vocabulary: int) -> Any:
    """A causal model of random weights."""
    return hf_ext.RoFormerForCausalLM(language_config(width, vocabulary))


def language_config(width: int, vocabulary: int) -> hf_ext.RoFormerConfig:
    """Its config; heads are of one size at any width."""
    return hf_ext.RoFormerConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_attention_heads=width // _HEAD,
        intermediate_size=4 * width,
        num_hidden_layers=_LAYERS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        # Of variance 1 behind any layer, narrow or wide.
        initializer_range=width**-0.5,
        attention_mode="causal",
        use_cache=False,
    )


def train(model: Any, steps: int, rate: float, seed: int, sources: Sources) -> None:
    """Let a model learn from rows that the seed draws."""
    texts = judgements.rows(sources.data, "train", _LENGTH)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        batch = texts[torch.randint(len(texts), (_BATCH,), generator=generator)]
        return F.cross_entropy(*judgements.predictions(model, batch, True, generator))

    descend(model, loss, steps, rate)


@cache
def trained_small(seed: int, sources: Sources) -> dict[str, Tensor]:
    """The weights of the small model that all sides of a seed begin with."""
    torch.manual_seed(seed)
    model = language_model(SMALL, judgements.vocabulary_size(sources.data))
    train(model, 2 if sources.quick else _SMALL_STEPS, _SMALL_RATE, seed, sources)
    state: dict[str, Tensor] = model.state_dict()
    return state


def grown(small: Any, side: str, seed: int) -> Any:
    """The large model of a side: one that computes what the small one does, or has its numbers in no order."""
    large = hf_ext.enlarge(small, FACTOR, noise=NOISES.get(side, 0.1), seed=seed)
    if side == _SHUFFLED:
        shuffle_(large, torch.Generator().manual_seed(seed))
    return large.train()


@torch.no_grad()
def shuffle_(model: nn.Module, generator: torch.Generator) -> None:
    """Put the numbers of each matrix into a drawn order: as large as they were, but nothing is known any more."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            numbers = parameter.flatten()
            parameter.copy_(numbers[torch.randperm(len(numbers), generator=generator)].view_as(parameter))


@torch.no_grad()
def copies_apart(model: Any) -> float:
    """How far the weights of the copies of a number lie apart, as a part of all: root mean squares.

    Of the layers that feed-forward layers begin with; those read hidden states, in which copies are neighbours.
    """
    apart = whole = 0.0
    for layer in model.base_model.encoder.layer:
        copies = layer.intermediate.dense.weight.double().unflatten(1, (-1, FACTOR))
        apart += float((copies - copies.mean(-1, keepdim=True)).square().sum())
        whole += float(copies.square().sum())
    return (apart / whole) ** 0.5


def training_cost(width: int, vocabulary: int) -> int:
    """Multiplications of a step, which are three times those of its forward pass."""
    config, length = language_config(width, vocabulary), _LENGTH - 1
    return 3 * _BATCH * (_LAYERS * layer_cost(config, length).total + head_cost(config, length))


def steps_left(early: int, vocabulary: int) -> int:
    """Steps that a large model still has when the small one has had as many as ``early``."""
    left = STEPS * training_cost(LARGE, vocabulary) - early * training_cost(SMALL, vocabulary)
    return left // training_cost(LARGE, vocabulary)


def draw(figure: "Figure", results: Results) -> None:
    """What each side comes to, and how far copies are apart at the end."""
    likelihood, apart = figure.subplots(1, 2, width_ratios=(2, 1))
    for axes, measure, sides in ((likelihood, "log_likelihood", SIDES), (apart, "apart", tuple(NOISES))):
        names = [side.replace(", ", ",\n") for side in sides]
        grouped_bars(axes, names, {"at the end": [results.values(measure, start=side) for side in sides]})
    before = [value for side in NOISES for value in results.values("before", start=side)]
    likelihood.axhline(sum(before) / max(1, len(before)), color="black", linestyle=":", label="before it grew")
    likelihood.set_title("log-likelihood of a character, nats")
    apart.set_title("copies apart")
    legend_below(figure, likelihood)


EXPERIMENT = Experiment(
    name="enlargement",
    cases=[{"data": "judgements"}],
    side="start",
    sides=SIDES,
    rates=(2e-3, 6e-3),
    score="log_likelihood",
    run=run,
    draw=draw,
    measures=("log_likelihood", "accuracy", "before", "apart", "multiplications", "steps"),
)
