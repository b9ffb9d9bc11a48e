"""Does a fixed kappa keep latents in use where a Gaussian posterior collapses (kexue.fm/archives/8404, 7381)?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studies.autoencoders import ANNEALED, common_measures, fit
from studies.drawing import grouped_bars, legend_below
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS = 4
_STEPS = 1000


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a UniVAE, and see whether its decoder reads the latents."""
    posterior, latents, rate = setting["posterior"], setting["latents"], setting["learning_rate"]
    model = fit(posterior, _LAYERS, latents, rate, seed, sources, _STEPS)
    return common_measures(model, setting["part"], seed)


def draw(figure: "Figure", results: Results) -> None:
    """What is written again, what the latents of another text cost, and what they tell of the text."""
    cases = [case["latents"] for case in EXPERIMENT.cases]
    titles = {
        "exact": "sentences written again\nto the letter",
        "permuted_gain": "loss of a token with the latents\nof another text, less its own, nats",
        "mutual_information": "mutual information\nof texts and latents, nats",
    }
    for axes, (measure, title) in zip(figure.subplots(1, 3), titles.items()):
        sides = {
            side: [results.values(measure, posterior=side, latents=latents) for latents in cases]
            for side in EXPERIMENT.sides
        }
        grouped_bars(axes, [f"{latents} latents" for latents in cases], sides)
        axes.set_title(title)
    legend_below(figure, figure.axes[0], "posterior")


EXPERIMENT = Experiment(
    name="latent_collapse",
    cases=[{"latents": 2}],
    side="posterior",
    sides=("vMF", "Gaussian", ANNEALED, "Gaussian, batch norm"),
    rates=(1e-3, 3e-3),
    score="exact",
    run=run,
    draw=draw,
    measures=("exact", "permuted_gain", "mutual_information", "active_units", "kl"),
)
