"""Do the texts of a trained VAE cover its prior, so that what is drawn from it is a text (kexue.fm/archives/7725)?"""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hf_ext import UniVAEForTextAutoencoding
from hf_ext.metrics import point_latents, sphere_latents
from studies.autoencoders import codes_of, common_measures, fit, write
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting
from studies.topic_grammar import factors_of, sentences

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS = 4
_STEPS = 1000
_SAMPLES = 1000


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a UniVAE, write from its prior and from where its codes are, and compare the two."""
    latents, part = setting["latents"], setting["part"]
    model = fit(setting["posterior"], _LAYERS, latents, setting["learning_rate"], seed, sources, _STEPS)
    texts = sentences(part, _SAMPLES, random.Random(f"{part} codes {seed}"))
    means, drawn = codes_of(model, texts), codes_of(model, texts, sample=True)
    prior = model.sample_prior(_SAMPLES)
    # Normal numbers with the mean and the deviation of each unit: a prior that is made to measure.
    fitted = means.mean(0) + means.std(0) * torch.randn_like(means)
    return {
        **common_measures(model, part, seed),
        **written_from(model, prior),
        **{f"fitted_{name}": value for name, value in written_from(model, fitted).items()},
        **coverage(drawn, model.config.latent_size, on_sphere=model.config.latent == "vmf"),
    }


def written_from(model: UniVAEForTextAutoencoding, codes: Tensor) -> Mapping[str, float]:
    """What codes ``[N, K * Z]`` decode to: the share of texts of the grammar, and that of different ones among all N.

    A decoder that ignores its codes writes the same text from each, grammatical though it may be.
    """
    written = [tuple(text) for text in write(model, codes)]
    right = [text for text in written if factors_of(text) is not None]
    return {"grammatical": len(right) / len(written), "different": len(set(right)) / len(written)}


def coverage(codes: Tensor, size: int, on_sphere: bool) -> Mapping[str, float]:
    """How far codes ``[N, K * Z]``, drawn around the texts' means, are like the prior.

    Args:
        codes: of N texts.
        size: Z.
        on_sphere: whether the prior is uniform on the sphere; units are then taken times the root of Z, so that their
            second moment is to be 1 too.

    Returns:
        ``mean_moment``, the root mean square of the units' means, 0 in the prior; ``second_moment``, the mean of
        theirs, and ``uneven``, its standard deviation over units, 1 and 0 in the prior; ``uniformity`` of the latents'
        directions.
    """
    found = point_latents(codes * size**0.5 if on_sphere else codes)
    means, seconds = (torch.tensor(found[f"aggregate.{name}"]) for name in ("mean", "second_moment"))
    directions = sphere_latents(codes.unflatten(-1, (-1, size)))["uniformity"]
    return {
        "mean_moment": means.square().mean().sqrt().item(),
        "second_moment": seconds.mean().item(),
        "uneven": seconds.std().item(),
        "uniformity": sum(directions) / len(directions),
    }


def draw(figure: "Figure", results: Results) -> None:
    """What is written from the prior and from where the codes are, and the moments."""
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    titles = {
        "grammatical": "prior:\ngrammatical",
        "different": "prior: different\nand grammatical",
        "fitted_grammatical": "fitted:\ngrammatical",
        "fitted_different": "fitted: different\nand grammatical",
    }
    moments = {"mean_moment": "mean\n(prior: 0)", "second_moment": "second moment\n(prior: 1)"}
    for axes, measures in ((left, titles), (right, moments)):
        sides = {side: [results.values(measure, posterior=side) for measure in measures] for side in EXPERIMENT.sides}
        grouped_bars(axes, list(measures.values()), sides)
    left.set_ylabel("share of 1,000 codes")
    right.set_title("codes of the texts, over units")
    right.set_yscale("symlog", linthresh=1)
    legend_below(figure, left, "posterior")


EXPERIMENT = Experiment(
    name="latent_prior",
    cases=[{"latents": 2}],
    side="posterior",
    sides=("vMF", "Gaussian, batch norm", "sphere, no noise", "AE"),
    rates=(1e-3, 3e-3),
    score="exact",
    run=run,
    draw=draw,
    measures=(
        "exact",
        "grammatical",
        "different",
        "fitted_grammatical",
        "fitted_different",
        "mean_moment",
        "second_moment",
        "uniformity",
    ),
)
