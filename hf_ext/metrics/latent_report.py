"""The latents of an autoencoder as a table for the terminal and as a picture."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_ext.atomic_file import atomic_write
from hf_ext.extras import extra

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = {
    "kl": "KL",
    "active_units": "active units",
    "mean": "|mean|",
    "second_moment": "second moment",
    "resultant": "resultant",
    "uniformity": "uniformity",
    "nearest_angle": "nearest angle",
    "overlap": "overlap",
}
_READINGS = {"mean": "as its mean", "sampled": "drawn", "permuted": "of another text"}


def per_latent(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The numbers of each latent, by its number: those of the sphere, or means and sums of its units.

    Args:
        report: what `hf_ext.tasks.autoencoding.diagnose` gives: ``"num_latents"``, ``"latent_size"``, and the numbers
            of `gaussian_latents`, `point_latents` or `sphere_latents` under ``"latents"``.
    """
    found = report["latents"]
    count, size = int(report["num_latents"]), int(report["latent_size"])
    rows: dict[str, dict[str, float]] = {str(number): {} for number in range(count)}
    for number, row in enumerate(rows.values()):
        units = slice(number * size, (number + 1) * size)
        if "kl_per_unit" in found:
            row["kl"] = sum(found["kl_per_unit"][units])
        elif "kl" in found:
            row["kl"] = found["kl"] / count
        if "mean_variance" in found:
            row["active_units"] = sum(value > 0.01 for value in found["mean_variance"][units])
            row["mean"] = sum(abs(value) for value in found["aggregate.mean"][units]) / size
            row["second_moment"] = sum(found["aggregate.second_moment"][units]) / size
        for name in ("resultant", "uniformity", "nearest_angle", "overlap"):
            if name in found and found[name][number] is not None:
                row[name] = found[name][number]
    return rows


def latent_table(rows: Mapping[str, Mapping[str, float]], title: str | None = None) -> "Table":
    """A line for each latent, a column for each number.

    Args:
        rows: what `per_latent` gives.
        title: heading.
    """
    from rich.table import Table

    table = Table("latent", title=title)
    columns = [name for name in _TITLES if any(name in row for row in rows.values())]
    for name in columns:
        table.add_column(_TITLES[name], justify="right")
    for number, row in rows.items():
        cells = [row.get(name) for name in columns]
        table.add_row(
            number, *("" if cell is None else f"{cell:d}" if isinstance(cell, int) else f"{cell:.3f}" for cell in cells)
        )
    return table


def plot_latents(report: Mapping[str, Any], path: str | os.PathLike[str], title: str = "Latents") -> None:
    """Draw what each latent tells, how the aggregate compares with the prior, and what reading the latents costs.

    Args:
        report: what `hf_ext.tasks.autoencoding.diagnose` gives.
        path: the PNG to write.
        title: heading.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    with extra("plots", "drawing the latents"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    found = report["latents"]
    rows = per_latent(report)
    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    if "kl_per_unit" in found:
        left.bar(range(len(found["kl_per_unit"])), found["kl_per_unit"])
        left.set(xlabel="unit", ylabel="KL to the prior, nats")
    elif "mean_variance" in found:
        left.bar(range(len(found["mean_variance"])), found["mean_variance"])
        left.set(xlabel="unit", ylabel="variance over texts")
    else:
        left.bar(list(rows), [row["resultant"] for row in rows.values()])
        left.set(xlabel="latent", ylabel="length of the mean vector", ylim=(0, 1))
    if "aggregate.mean" in found:
        middle.axhline(0, color="gray", linewidth=0.8)
        middle.axhline(1, color="gray", linewidth=0.8)
        units = range(len(found["aggregate.mean"]))
        middle.plot(units, found["aggregate.mean"], ".", label="mean (prior: 0)")
        middle.plot(units, found["aggregate.second_moment"], ".", label="second moment (prior: 1)")
        middle.set(xlabel="unit", ylabel="aggregate posterior")
        middle.legend()
    else:
        middle.bar(list(rows), [row.get("nearest_angle", 0.0) for row in rows.values()], label="to the nearest text")
        if "spread" in found:
            middle.axhline(2 * found["spread"], color="black", linestyle="--", label="where samples of two texts meet")
        middle.set(xlabel="latent", ylabel="angle, radians")
        middle.legend()
    losses = report["reconstruction"]
    right.bar([_READINGS[name] for name in losses], list(losses.values()))
    right.set(xlabel="latent", ylabel="loss of a token, nats")
    figure.suptitle(title)
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)
