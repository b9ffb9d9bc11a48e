"""`hf-ext analyze cost`: what a layer costs over the length of the text, counted and measured."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device
from hf_ext.cli.model_config import config_of

_LENGTHS = "128,256,512,1024,2048,4096"


def cost(
    model: Annotated[str, typer.Argument(help="A model, a folder or a name on the Hub; or tiny, small, medium, base.")],
    lengths: Annotated[str, typer.Option(help="Tokens of a text, between commas.")] = _LENGTHS,
    head: Annotated[bool, typer.Option("--head", help="Count the head over the vocabulary too, once a model.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Run two layers with random weights too, a text at a time.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw what a token costs into this file, a PNG.")] = None,
    device: Device = None,
) -> None:
    """Count the multiplications of a layer over the length of the text, and say where attention begins to matter.

    Millions of a text and a layer, and the share of attention; floating-point operations are twice as many, and
    training takes about three times those of the forward pass, four with gradient checkpointing.
    """
    import torch
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.analysis.layer_cost import crossovers, head_cost, layer_cost
    from hf_ext.analysis.layer_time import layer_seconds
    from hf_ext.training.quiet import quiet_libraries

    if plot is not None and not plot.parent.is_dir():
        raise ValueError(f"{plot} must be in a folder that exists")
    if device is not None and not measure:
        raise ValueError(f"device has no effect without measure, got {device}; leave it out or add --measure")
    try:
        numbers = [int(part) for part in lengths.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--lengths must be numbers between commas, got {lengths}") from None
    config = config_of(model)
    costs = {length: layer_cost(config, length) for length in numbers}
    seconds: dict[int, float] = {}
    if measure:
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        with quiet_libraries():
            for length in track(numbers, "measuring", console=Console(stderr=True)):
                seconds[length] = layer_seconds(config, length, device)

    table = Table(title=f"Multiplications of a layer of {config.model_type}, in millions")
    parts = ["tokens", "proj.", "attention", "ffn", "all", "share %"]
    parts += ["head"] if head else []
    parts += ["ms", "us/token"] if measure else []
    for part in parts:
        table.add_column(part, justify="right")
    for length, one in costs.items():
        row = [f"{count / 1e6:.1f}" for count in (one.projections, one.attention, one.feed_forward, one.total)]
        row.append(f"{100 * one.attention / one.total:.1f}")
        row += [f"{head_cost(config, length) / 1e6:.1f}"] if head else []
        row += [f"{seconds[length] * 1e3:.2f}", f"{seconds[length] / length * 1e6:.2f}"] if measure else []
        table.add_row(str(length), *row)
    console = Console(highlight=False)
    console.print(table)
    said = {
        "attention": "attention with its projections costs more than the feed-forward layer",
        "quadratic": "what grows with the square of the length is half of all",
        "linear": "linear attention of heads of the same size would cost less than this attention",
        "wide_linear": "linear attention of heads four times as wide would",
        "softmax": "this attention costs less than one of all pairs",
    }
    for name, crossing in crossovers(config).items():
        typer.echo(f"from {crossing:.0f} tokens on {said[name]}")
    if plot is not None:
        _draw(plot, config.model_type, costs, seconds)
        typer.echo(f"the picture: {plot}", err=True)


def _draw(path: Path, title: str, costs: dict[int, Any], seconds: dict[int, float]) -> None:
    from hf_ext.atomic_file import atomic_write
    from hf_ext.extras import extra

    with extra("plots", "drawing the cost"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    lengths = sorted(costs)
    for part in ("projections", "attention", "feed_forward", "total"):
        counts = [getattr(costs[length], part) / length / 1e6 for length in lengths]
        axes.plot(lengths, counts, marker="o", markersize=3, label=part.replace("_", "-"))
    axes.set(xlabel="tokens", ylabel="million multiplications a token", xscale="log", ylim=(0, None), title=title)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if seconds:
        beside = axes.twinx()
        times = [seconds[length] / length * 1e6 for length in lengths]
        beside.plot(lengths, times, "k--", marker="s", markersize=3, label="measured")
        beside.set(ylabel="microseconds a token", ylim=(0, None))
        beside.legend(loc="lower right")
    axes.legend(loc="upper left")
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)
