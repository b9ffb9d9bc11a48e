"""`hf-ext evaluate`: the scores of a saved model on a file."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

TASK_HELP = "What it is for, by its command under hf-ext train; else what the model's folder says."


def evaluate(
    model: Annotated[str, typer.Argument(help="A trained model: a folder or a name on the Hub.")],
    file: Annotated[Path, typer.Option(help="What to score it on, in a format that its training reads.")],
    task: Annotated[str | None, typer.Option(help=TASK_HELP)] = None,
    output: Annotated[Path | None, typer.Option(help="Also write the scores here, as JSON.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write report.json and report.html, what is wrong, into this folder.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Texts run at a time; else as in training.")] = None,
    use_cpu: Annotated[bool, typer.Option("--use-cpu", help="Run on the CPU, even if there is a GPU.")] = False,
) -> None:
    """Score a trained model on a file, as the run that trained it scored its validation file."""
    from rich.console import Console

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.atomic_file import atomic_write
    from hf_ext.tasks.base.evaluation import job_of_model

    if output is not None and not output.parent.is_dir():
        raise ValueError(f"{output} must be in a folder that exists")
    if output is not None and output.is_file() and file.is_file() and output.samefile(file):
        raise ValueError(f"output must not be the file to score on, got {output} for both")
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        raise ValueError(f"file must be there, got {file}")
    job = job_of_model(model, task)
    given: dict[str, Any] = {} if batch_size is None else {"per_device_eval_batch_size": batch_size}
    with TemporaryDirectory() as folder:
        arguments = job.training_arguments(
            folder, eval_strategy="no", save_strategy="no", load_best_model_at_end=False, use_cpu=use_cpu, **given
        )
        scores = job.evaluate(file, arguments, report)
    if arguments.process_index > 0:
        return
    console = Console(highlight=False, markup=False)
    for part in job.show(scores, file):
        console.print(part)
    if output is not None:
        with atomic_write(output) as stream:
            json.dump(scores, stream, ensure_ascii=False, indent=2)
