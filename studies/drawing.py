"""Plots of means with their spread over seeds, as PNG files without a display."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

from hf_ext.atomic_file import atomic_write
from hf_ext.extras import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def save_figure(draw: Callable[["Figure"], None], path: Path, title: str) -> None:
    """Draw on a new figure and write it."""
    with extra("plots", "drawing a study"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)


def grouped_bars(axes: "Axes", groups: Sequence[str], sides: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Bars of means with standard deviations, and a dot for each seed.

    Args:
        axes: to draw on.
        groups: names below the bars.
        sides: for each side, of each group the values of all seeds.
    """
    width = 0.8 / len(sides)
    for number, (side, values) in enumerate(sides.items()):
        places = [group + (number - (len(sides) - 1) / 2) * width for group in range(len(groups))]
        known = [(place, each) for place, each in zip(places, values) if each]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.bar(
            [place for place, _ in known],
            [mean(each) for _, each in known],
            width * 0.9,
            yerr=[stdev(each) if len(each) > 1 else 0.0 for _, each in known],
            capsize=3,
            color=colour,
            alpha=0.75,
            label=side,
        )
        dots = [(place, value) for place, each in known for value in each]
        axes.scatter([place for place, _ in dots], [value for _, value in dots], color="black", s=6, zorder=3)
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def lines(axes: "Axes", places: Sequence[float], sides: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Lines through means, and a dot for each seed.

    Args:
        axes: to draw on.
        places: on the horizontal axis.
        sides: for each side, at each place the values of all seeds.
    """
    for number, (side, values) in enumerate(sides.items()):
        known = [(place, each) for place, each in zip(places, values) if each]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot([place for place, _ in known], [mean(each) for _, each in known], color=colour, label=side)
        dots = [(place, value) for place, each in known for value in each]
        axes.scatter([place for place, _ in dots], [value for _, value in dots], color=colour, s=6, zorder=3)
    axes.grid(alpha=0.3)


def legend_below(figure: "Figure", axes: "Axes", title: str | None = None) -> None:
    """A legend of what ``axes`` show, in a line below the figure, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, title=title, loc="outside lower center", ncols=len(labels))
