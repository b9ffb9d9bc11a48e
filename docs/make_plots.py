"""Draws the plots of the documents that need no runs: how alike sinusoidal positions are by their distance.

python docs/make_plots.py
"""

from pathlib import Path

import torch

from hf_ext.atomic_file import atomic_write
from hf_ext.extras import extra
from hf_ext.ops.sinusoidal import position_similarity, similarity_integral

IMAGES = Path(__file__).resolve().parent / "images"


def draw_similarity(path: Path) -> None:
    """Draw inner products of positions, as a part of those at distance 0, by kinds of frequencies."""
    with extra("plots", "drawing the documents' plots"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    distance = torch.arange(513)
    for base in (100.0, 1000.0, 10000.0, 100000.0):
        (line,) = left.plot(distance, similarity_integral(distance, base), label=f"$\\theta = {base:.0f}^{{-t}}$")
        found = position_similarity(distance, 128, base) / 64
        left.plot(distance, found, linestyle=":", linewidth=1, color=line.get_color())
    left.set_title("bases; dotted: 128 numbers a position")
    distance = torch.linspace(0, 40, 801)
    for power in (0.5, 1.0, 2.0, 4.0):
        right.plot(distance, similarity_integral(distance, power=power), label=f"$\\theta = t^{{{power:g}}}$")
    right.plot(distance, similarity_integral(distance, 10000.0), color="black", label="$\\theta = 10000^{-t}$")
    right.set_title("powers")
    for axes in (left, right):
        axes.axhline(0, color="black", linewidth=0.5)
        axes.set_xlabel("distance")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
    left.set_ylabel("inner product, 1 at distance 0")
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)


PLOTS = {"position_similarity.png": draw_similarity}

if __name__ == "__main__":
    for name, draw in PLOTS.items():
        draw(IMAGES / name)
