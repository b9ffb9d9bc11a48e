"""`hf-ext probe`: what each layer of an encoder knows of the classes of texts."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hf_ext.cli.devices import Device


def probe(
    model: Annotated[str, typer.Argument(help="An encoder: a folder or a name on the Hub.")],
    file: Annotated[Path, typer.Option(help="Texts with a class each, in any format of hf-ext train classification.")],
    test_file: Annotated[
        Path | None, typer.Option(help="Other texts to score on; else every fifth of the file, which is not fitted to.")
    ] = None,
    pooling: Annotated[Literal["mean", "cls"], typer.Option(help="How the tokens of a text are one vector.")] = "mean",
    max_length: Annotated[int | None, typer.Option(help="Tokens of a text; else 512, or what the model takes.")] = None,
    shrinkage: Annotated[
        str, typer.Option(help="Part of the covariance that gives way to its mean; or oas, by the number of texts.")
    ] = "oas",
    output: Annotated[Path | None, typer.Option(help="Write the scores here as CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them into this file, a PNG.")] = None,
    device: Device = None,
) -> None:
    """Fit a linear probe to every layer in closed form, without training, and show how well each tells the classes."""
    import csv

    import torch
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, AutoTokenizer

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.analysis.layer_probe import probe_layers
    from hf_ext.atomic_file import atomic_write
    from hf_ext.data.input_limit import input_limit
    from hf_ext.data.model_name import check_model_name
    from hf_ext.tasks.classification.files import label_names, read_labelled_texts
    from hf_ext.training.quiet import quiet_libraries

    for path in (output, plot):
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path} must be in a folder that exists")
    try:
        part: float | str = shrinkage if shrinkage == "oas" else float(shrinkage)
    except ValueError:
        raise typer.BadParameter(f"--shrinkage must be a number or oas, got {shrinkage}") from None
    train = read_labelled_texts(file)
    if not train or "label" not in train[0]:
        raise ValueError(f"file must have texts with one class each, got {file} with {'several' if train else 'none'}")
    names = label_names(train)
    if test_file is None:
        test = train[4::5]
        train = [example for number, example in enumerate(train) if number % 5 != 4]
        if not test:
            raise ValueError(f"file must have at least 5 texts to score on a fifth of them, got {len(train)}")
    else:
        test = read_labelled_texts(test_file, names)
    check_model_name(model)
    with quiet_libraries():
        config: Any = AutoConfig.from_pretrained(model)
        opener: Any = AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel
        encoder = opener.from_pretrained(model).to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        tokenizer = AutoTokenizer.from_pretrained(model)
    max_length = input_limit(tokenizer, config) if max_length is None else max_length
    numbers = {name: number for number, name in enumerate(names)}

    def columns(examples: list[dict[str, Any]]) -> tuple[list[Any], list[int]]:
        texts = [(one["text"], one["text2"]) if "text2" in one else one["text"] for one in examples]
        return texts, [numbers[one["label"]] for one in examples]

    typer.echo(f"{len(train)} texts to fit to, {len(test)} to score on, {len(names)} classes", err=True)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("probing", total=2 * len(train) + len(test))
        scores = probe_layers(
            encoder,
            tokenizer,
            columns(train),
            columns(test),
            pooling,
            max_length,
            part,
            lambda count: progress.advance(bar, count),
        )
    table = Table("layer", title=f"Linear probes of the {pooling} of tokens")
    for name in ("accuracy fitted", "accuracy", "macro F1"):
        table.add_column(name, justify="right")
    for one in scores:
        shown = (f"{100 * value:.2f}" for value in (one.train_accuracy, one.accuracy, one.macro_f1))
        table.add_row(str(one.layer) if one.layer else "embeddings", *shown)
    Console().print(table)
    if output is not None:
        with atomic_write(output) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("layer", "train_accuracy", "accuracy", "macro_f1"))
            writer.writerows((one.layer, one.train_accuracy, one.accuracy, one.macro_f1) for one in scores)
    if plot is not None:
        _draw(plot, scores)


def _draw(path: Path, scores: list[Any]) -> None:
    from hf_ext.atomic_file import atomic_write
    from hf_ext.extras import extra

    with extra("plots", "drawing the scores of layers"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    layers = [one.layer for one in scores]
    axes.plot(layers, [one.accuracy for one in scores], marker="o", label="accuracy")
    axes.plot(layers, [one.macro_f1 for one in scores], marker="s", label="macro F1")
    axes.plot(layers, [one.train_accuracy for one in scores], "--", label="accuracy, fitted to")
    axes.set(xlabel="layer, 0 the embeddings", ylabel="share", title="Linear probes in closed form")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)
