"""`hf-ext evaluate`: the scores of a saved model on a file."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

TASK_HELP = "What it is for, by its command under hf-ext train; else what the model's folder says."


def _column(word: str) -> tuple[str, str]:
    ours, equals, theirs = word.partition("=")
    if not equals:
        raise typer.BadParameter(f"--column must be NAME=COLUMN, got {word}")
    return ours, theirs


def evaluate(
    model: Annotated[str, typer.Argument(help="A trained model: a folder or a name on the Hub.")],
    file: Annotated[
        Path | None,
        typer.Option(help="What to score it on, in a format that its training reads; or Parquet, or Arrow."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Instead: a data set of the Hub (org/name), or a folder.")] = None,
    split: Annotated[str | None, typer.Option(help="What of the data set; else test.")] = None,
    dataset_config: Annotated[str | None, typer.Option(help="Which of several data sets of that name.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="A column by the name that files have for it, as text=review."),
    ] = None,
    task: Annotated[str | None, typer.Option(help=TASK_HELP)] = None,
    output: Annotated[Path | None, typer.Option(help="Also write the scores here, as JSON.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write report.json and report.html, what is wrong, into this folder.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Texts run at a time; else as in training.")] = None,
    use_cpu: Annotated[bool, typer.Option("--use-cpu", help="Run on the CPU, even if there is a GPU.")] = False,
) -> None:
    """Score a trained model on a file or a data set, as the run that trained it scored its validation file."""
    from rich.console import Console

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.atomic_file import atomic_write
    from hf_ext.data.dataset_file import dataset_file, is_table
    from hf_ext.tasks.base.evaluation import job_of_model

    if output is not None and not output.parent.is_dir():
        raise ValueError(f"{output} must be in a folder that exists")
    if (file is None) == (dataset is None):
        raise typer.BadParameter(f"give either --file or --dataset, got {'neither' if file is None else 'both'}")
    for name, value in (("split", split), ("dataset_config", dataset_config)):
        if dataset is None and value is not None:
            raise ValueError(f"{name} goes with a dataset, got {value} without one")
    if file is not None and output is not None and output.is_file() and file.is_file() and output.samefile(file):
        raise ValueError(f"output must not be the file to score on, got {output} for both")
    if file is not None and not file.exists():
        raise ValueError(f"file must be there, got {file}")
    columns = dict(_column(word) for word in column or ())
    job = job_of_model(model, task)
    source = str(file)
    if dataset is not None:
        source = f"{dataset} ({split or 'test'})"
        file = dataset_file(dataset, split or "test", dataset_config, columns, lines=job.lines_of_row)
    elif file is not None and is_table(file):
        job.columns = columns
    elif columns:
        raise ValueError(f"column goes with a dataset or a file of Parquet or Arrow, got {column} with {file}")
    assert file is not None
    given: dict[str, Any] = {} if batch_size is None else {"per_device_eval_batch_size": batch_size}
    with TemporaryDirectory() as folder:
        arguments = job.training_arguments(folder, use_cpu=use_cpu, **given)
        scores = job.evaluate(file, arguments, report, source)
    if arguments.process_index > 0:
        return
    console = Console(highlight=False, markup=False)
    for part in job.show(scores, source):
        console.print(part, soft_wrap=isinstance(part, str))
    if report is not None:
        typer.echo(f"what is wrong: {report / 'report.html'}", err=True)
    if output is not None:
        with atomic_write(output) as stream:
            json.dump(scores, stream, ensure_ascii=False, indent=2)
