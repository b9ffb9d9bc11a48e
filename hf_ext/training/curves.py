"""The course of a training run as a picture and as a line of text."""

import logging
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.extras import MissingExtraError, extra

logger = logging.getLogger(__name__)

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Draw values as a line of bars, from the least to the greatest.

    Args:
        values: any number of finite values.
        width: longest line; more values are averaged in groups.
    """
    if len(values) > width:
        edges = [round(i * len(values) / width) for i in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in values)


def save_curves(log_history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], metric: str = "f1") -> None:
    """`plot_curves` for a trained model; without matplotlib the picture is left out, with a warning."""
    try:
        plot_curves(log_history, path, metric)
    except MissingExtraError as error:
        # That of a run before would be taken for this one's.
        Path(path).unlink(missing_ok=True)
        logger.warning("curves.png is left out: %s", error)


def plot_curves(
    log_history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], metric: str = "f1", title: str = "Training"
) -> None:
    """Draw training and evaluation loss, and a metric, over the steps, as a PNG.

    Args:
        log_history: ``trainer.state.log_history``.
        path: the file to write.
        metric: name of the metric, as in ``eval_<metric>``.
        title: heading.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    with extra("plots", "drawing the curves"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    # Figures of their own, not pyplot's: no display, no global state.
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, names in ((left, {"loss": "training", "eval_loss": "evaluation"}), (right, {f"eval_{metric}": metric})):
        for name, label in names.items():
            points = [(entry["step"], entry[name]) for entry in log_history if name in entry]
            if points:
                axes.plot(*zip(*points), marker="o" if name.startswith("eval_") else None, markersize=3, label=label)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    left.set_ylabel("loss")
    right.set_ylabel(metric)
    right.set_ylim(0, 1)
    figure.suptitle(title)
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)
