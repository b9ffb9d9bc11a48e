"""`hf-ext calibrate`: how far the probabilities of a trained model can be believed, and what mends them."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from hf_ext.cli.evaluate import TASK_HELP


def calibrate(
    model: Annotated[str, typer.Argument(help="A trained model: a folder or a name on the Hub.")],
    file: Annotated[
        Path, typer.Option(help="What to judge it on, in a format that its training reads, and not trained on.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder for calibration.json and calibration.png, the reliability plot.")
    ] = None,
    task: Annotated[str | None, typer.Option(help=TASK_HELP)] = None,
    bins: Annotated[int, typer.Option(min=1, help="Bins of equal width of the calibration error.")] = 15,
    folds: Annotated[
        int, typer.Option(min=2, help="Folds, each judged with the temperature of the others, at most.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Of the order in which rows are put into folds.")] = 0,
    batch_size: Annotated[int | None, typer.Option(help="Texts run at a time; else as in training.")] = None,
    use_cpu: Annotated[bool, typer.Option("--use-cpu", help="Run on the CPU, even if there is a GPU.")] = False,
) -> None:
    """Measure how well a trained model is calibrated on a file, and fit the temperature to divide its logits by.

    Of classes and choices the probability of the one that is given is compared with how often it is right; of any
    number of classes, and of entities by GlobalPointer, that of each with how often it is so. The model stays as it is.
    """
    from rich.console import Console
    from rich.table import Table

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.atomic_file import atomic_write
    from hf_ext.extras import extra
    from hf_ext.metrics import calibration_report, plot_reliability
    from hf_ext.metrics.reliability_plot import DRAWING
    from hf_ext.tasks.base.evaluation import job_of_model
    from hf_ext.tasks.base.trained_model import open_on_file
    from hf_ext.training.quiet import quiet_libraries

    if not file.exists():
        raise ValueError(f"file must be there, got {file}")
    if output is not None:
        if output.exists() and not output.is_dir():
            raise ValueError(f"output must be a folder, got the file {output}")
        with extra("plots", DRAWING):
            import matplotlib  # noqa: F401  (before the model has run)
    job = job_of_model(model, task)
    given: dict[str, Any] = {} if batch_size is None else {"per_device_eval_batch_size": batch_size}
    with TemporaryDirectory() as folder, quiet_libraries():
        arguments = job.training_arguments(folder, use_cpu=use_cpu, **given)
        trainer, examples, rows = open_on_file(job, file, arguments)
        logits = job.labelled_logits(trainer, rows, examples)
    if not len(logits.labels):
        raise ValueError(f"file must have something that the model gives a probability, got {logits.about}: none")
    report = {"task": job.command, "file": file.name, **calibration_report(logits, bins, folds, seed)}
    if not trainer.is_world_process_zero():
        return
    table = Table("", title=f"{report['rows']} rows of {file.name}: {logits.about}")
    for name in ("ECE", "NLL", "Brier"):
        table.add_column(name, justify="right")
    told = {"before": "as it is", "after": f"with a temperature, {report['folds']} folds"}
    for name, shown in told.items():
        if (scores := report[name]) is not None:
            table.add_row(shown, *(f"{scores[one]:.4f}" for one in ("ece", "nll", "brier")))
    console = Console(highlight=False, markup=False)
    console.print(table)
    if logits.missed:
        typer.echo(f"{logits.missed} that are so are not among them")
    temperature = report["temperature"]
    typer.echo(f"temperature {temperature:.4g}" if temperature else f"no temperature is the best: {report['reason']}")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        with atomic_write(output / "calibration.json") as stream:
            json.dump(report, stream, ensure_ascii=False, indent=2)
        plot_reliability(report, output / "calibration.png", title=f"{job.command}, {file.name}")
        typer.echo(f"reliability: {output / 'calibration.png'}", err=True)
