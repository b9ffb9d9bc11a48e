"""`hf-ext demo`: the main job from start to end on an embedded sample."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer


def demo(
    output_dir: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo_output"),
    texts: Annotated[int, typer.Option(help="Sentences to generate; a fifth of them is held out.")] = 5000,
    epochs: Annotated[float, typer.Option(help="Epochs to train.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of training.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier demo left.")] = False,
) -> None:
    """Generate sentences, train a small RoFormer with GlobalPointer from scratch, and extract entities with it.

    Needs no data, no network and no GPU, and takes about a minute on two cores.
    """
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
