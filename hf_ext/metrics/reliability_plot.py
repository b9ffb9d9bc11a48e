"""The reliability of a model's probabilities as a picture."""

import os
from collections.abc import Mapping
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.extras import extra

DRAWING = "drawing the reliability"


def plot_reliability(report: Mapping[str, Any], path: str | os.PathLike[str], title: str = "Reliability") -> None:
    """Draw how often answers are right over how sure they are, and how many there are of each, as a PNG.

    Args:
        report: what :func:`hf_ext.metrics.calibration_report` gives.
        path: the file to write.
        title: heading.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    with extra("plots", DRAWING):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot((0, 1), (0, 1), color="0.6", linestyle="--", linewidth=1)
    for name, told in (("before", "as it is"), ("after", "by the temperature of other folds")):
        scores = report[name]
        if scores is None:
            continue
        bins = scores["bins"]
        label = f"{told}: ECE {scores['ece']:.4f}"
        axes.plot([one["confidence"] for one in bins], [one["right"] for one in bins], marker="o", label=label)
        # Bins without rows are not in the report.
        width = bins[0]["to"] - bins[0]["from"]
        counts.bar([one["from"] for one in bins], [one["count"] for one in bins], width, align="edge", alpha=0.5)
    axes.set_ylabel("part that is right" if report["kind"] == "softmax" else "part that is so")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    counts.set_xlabel("probability that the model gives")
    counts.set_ylabel("rows")
    counts.set_yscale("symlog")
    figure.suptitle(title)
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)
