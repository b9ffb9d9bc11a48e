"""`hf-ext demo`: the main job from start to end on an embedded sample, and models in a page to try them in."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hf_ext.extras import extra

# What has an effect only where a model is trained.
_OF_TRAINING = ("texts", "epochs", "seed", "overwrite")


def demo(
    context: typer.Context,
    output_dir: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo_output"),
    texts: Annotated[int, typer.Option(help="Sentences to generate; a fifth of them is held out.")] = 5000,
    epochs: Annotated[float, typer.Option(help="Epochs to train.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of training.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier demo left.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Then show the model in a page, until Ctrl-C.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="With --web: show this model, a folder or a name on the Hub, and train none; may be repeated."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="With --web: the address to listen at; else 127.0.0.1, this machine alone.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="With --web: the port; else the first from 7860 that is free.")
    ] = None,
) -> None:
    """Generate sentences, train a small RoFormer with GlobalPointer from scratch, and extract entities with it.

    Needs no data, no network and no GPU, and takes about a minute on two cores. With --web the model that it trained,
    or has trained before, or any other, is shown in a page: type a text, and see what is found.
    """
    given = [name for name in ("output_dir", *_OF_TRAINING) if _is_given(context, name)]
    if not web:
        unused = [name for name, value in (("model", model), ("host", host), ("port", port)) if value is not None]
        if unused:
            raise typer.BadParameter(f"{', '.join(unused)} has no effect without --web; leave it out")
        _train(output_dir, texts, epochs, seed, overwrite)
        return
    if model and given:
        raise typer.BadParameter(
            f"{', '.join(given).replace('_', '-')} has no effect with --model, which trains none; leave it out"
        )
    with extra("demo", "hf-ext demo --web"):
        import gradio  # noqa: F401

    trained = output_dir / "model"
    # What an earlier demo left is shown again.
    if not model and ({*given} & {*_OF_TRAINING} or not (trained / "config.json").is_file()):
        _train(output_dir, texts, epochs, seed, overwrite)
    _show(model or [str(trained)], host or "127.0.0.1", port, sample=not model)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether the user has said what an option is."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _show(names: Sequence[str], host: str, port: int | None, sample: bool) -> None:
    """Show models in a page, until the command is stopped."""
    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.tasks.entities.samples import generate_samples
    from hf_ext.web.app import page, serve
    from hf_ext.web.opened_model import OpenedModel

    # Sentences of the same grammar, which no seed that is likely trains on.
    texts = [one["text"] for one in generate_samples(3, seed=2**20)] if sample else []
    models = [OpenedModel.open(name, sample="".join(texts)) for name in names]
    for one in models:
        typer.echo(one.purpose, err=True)
    serve(page(models), host, port, ready=lambda address: typer.echo(f"open {address}; Ctrl-C stops it", err=True))


def _train(output_dir: Path, texts: int, epochs: float, seed: int, overwrite: bool) -> None:
    from rich.console import Console

    from hf_ext.metrics.score_table import score_table
    from hf_ext.tasks.entities.files import write_entities
    from hf_ext.tasks.entities.samples import generate_samples
    from hf_ext.tasks.entities.span_job import SpanExtractionJob
    from hf_ext.training.run_steps import check_output_dir

    console = Console(stderr=True)
    train_file, validation_file = output_dir / "train.jsonl", output_dir / "validation.jsonl"
    model_dir = output_dir / "model"
    job = SpanExtractionJob(
        train_file=train_file, validation_file=validation_file, config="tiny", max_length=128, overwrite=overwrite
    )
    arguments = job.training_arguments(
        model_dir,
        learning_rate=2e-3,
        num_train_epochs=epochs,
        save_strategy="no",
        load_best_model_at_end=False,
        seed=seed,
    )
    # Before anything is written.
    check_output_dir(arguments, overwrite)
    output_dir.mkdir(parents=True, exist_ok=True)
    examples = generate_samples(texts, seed)
    held_out = texts // 5
    write_entities(train_file, examples[held_out:])
    write_entities(validation_file, examples[:held_out])
    console.print(f"wrote {texts - held_out} sentences to {train_file} and {held_out} to {validation_file}")

    scores = job.run(arguments)
    # The card of the model shows its own.
    curves = output_dir / "curves.png"
    curves.unlink(missing_ok=True)
    if (model_dir / "curves.png").is_file():
        shutil.copyfile(model_dir / "curves.png", curves)
    Console().print(score_table(scores, title=f"{held_out} held-out sentences"))

    console.print("loading the saved model in a new process")
    page = output_dir / "entities.html"
    command = [sys.executable, "-m", "hf_ext.cli", "predict", str(model_dir), "--file", str(validation_file)]
    outputs = ["--output", str(output_dir / "predictions.jsonl"), "--html", str(page)]
    subprocess.run([*command, *outputs], check=True)
    for made in filter(
        Path.exists, (page, model_dir / "report.html", curves, output_dir / "predictions.jsonl", model_dir)
    ):
        console.print(f"made {made}", highlight=False)
