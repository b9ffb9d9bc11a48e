"""Do early latents of a UniVAE hold the form of a sentence and late ones its topic (kexue.fm/archives/8475)?"""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_ext import UniVAEForTextAutoencoding
from studies.autoencoders import codes_of, common_measures, fit, write
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting
from studies.topic_grammar import Sentence, factors_of, pairs, template_of, topic_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS = 6
_SIDES = {"2 of 6": 2, "4 of 6": 4, "6 of 6 (k = 0)": 6, "1 of 6": 1}
_STEPS = 1000
_PAIRS = 400

Moved = tuple[float, float]
"""Shares of texts with the topic, and with the template, of the sentence whose latents were put in."""


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a UniVAE, and put latents of one sentence among those of another one."""
    latents, part = _SIDES[setting["latents"]], setting["part"]
    model = fit("vMF", _LAYERS, latents, setting["learning_rate"], seed, sources, _STEPS)
    first, second = pairs(part, _PAIRS, random.Random(f"{part} pairs {seed}"))
    alone, grammatical = [], 0.0
    for number in range(latents):
        written = swapped(model, first, second, [number])
        alone.append(moved(written, second))
        grammatical += share(factors_of(text) is not None for text in written) / latents
    early = moved(swapped(model, first, second, range(max(1, latents // 2))), second)
    measures: dict[str, Any] = {
        **common_measures(model, part, seed),
        "grammatical": grammatical,
        "early_topic": early[0],
        "early_template": early[1],
        # 1 of 2 and of 4 latents, as the last 16 numbers of 64 were in the article.
        "late_topic": alone[-1][0],
        "late_template": alone[-1][1],
        "topic_deeper": topic_deeper(alone),
    }
    for number in range(max(_SIDES.values())):
        topic, template = alone[number] if number < latents else ("", "")
        measures |= {f"topic_{number}": topic, f"template_{number}": template}
    return measures


def swapped(
    model: UniVAEForTextAutoencoding, first: list[Sentence], second: list[Sentence], latents: Sequence[int]
) -> list[Sentence]:
    """What is written of the sentences ``first`` with these latents of ``second``."""
    return write(model, model.swap(codes_of(model, first), codes_of(model, second), latents))


def moved(written: list[Sentence], second: list[Sentence]) -> Moved:
    """Which factors of the sentences ``second`` are found in what was written."""
    topics = share(topic_of(text) == topic_of(other) for text, other in zip(written, second))
    return topics, share(template_of(text) == template_of(other) for text, other in zip(written, second))


def share(found: Any) -> float:
    """The part of an iterable that is true."""
    every = list(found)
    return sum(every) / len(every)


def topic_deeper(alone: Sequence[Moved]) -> float | str:
    """How much deeper the topic lies than the template, of all latents' depth: 1 where one is in the last, the other in
    the first, above 0 as in the article; "" where there is one latent, or no swap moves anything.

    Args:
        alone: what each latent moves by itself.
    """
    depths = []
    for shares in zip(*alone):
        if len(shares) < 2 or not sum(shares):
            return ""
        depths.append(sum(number * each for number, each in enumerate(shares)) / sum(shares) / (len(shares) - 1))
    return float(depths[0] - depths[1])


def draw(figure: "Figure", results: Results) -> None:
    """What each latent moves by itself."""
    for axes, (side, latents) in zip(figure.subplots(1, len(_SIDES), sharey=True), _SIDES.items()):
        numbers = [str(number + 1) for number in range(latents)]
        factors = {
            factor: [results.values(f"{factor}_{number}", latents=side) for number in range(latents)]
            for factor in ("topic", "template")
        }
        grouped_bars(axes, numbers, factors)
        axes.set(title=f"latents {side}", xlabel="latent put in", ylim=(0, 1))
    figure.axes[0].set_ylabel("share of texts it is found in")
    legend_below(figure, figure.axes[0], "of the other sentence")


EXPERIMENT = Experiment(
    name="latent_swaps",
    cases=[{"layers": _LAYERS}],
    side="latents",
    sides=tuple(_SIDES),
    rates=(1e-3, 3e-3),
    score="exact",
    run=run,
    draw=draw,
    measures=(
        "exact",
        "permuted_gain",
        "early_topic",
        "early_template",
        "late_topic",
        "late_template",
        "topic_deeper",
        "grammatical",
    ),
)
