"""What the commands of a suite do, ``hf-ext <suite> check | train | predict | pack | validate | report``.

Each public function is one: its first line is the command's help, and of its parameters the paths are given before the
options.
"""

import json
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table

from hf_ext.suites.check import check_suite, check_tables
from hf_ext.suites.packing import expected_files, labels_of_submission, submission_contents
from hf_ext.suites.prediction import predict_suite
from hf_ext.suites.report import suite_report, write_suite_report
from hf_ext.suites.runs import Run, first_process
from hf_ext.suites.suite import Suite
from hf_ext.suites.training import Training
from hf_ext.tasks.base.job_parser import OptionError


def check(suite: Suite, given: dict[str, Any], data: Path) -> None:
    """Check the official files: what is there, labels, spans, repetitions, leaks, what is cut."""
    found = check_suite(
        suite, data, given.get("tasks"), given.get("splits"), given.get("variant", {}), given.get("tokenizer")
    )
    if given.get("json"):
        typer.echo(json.dumps([one.as_json() for one in found], ensure_ascii=False, indent=1))
    else:
        console = Console(highlight=False, markup=False)
        for part in check_tables(found):
            console.print(part, soft_wrap=isinstance(part, str))
    raise typer.Exit(int(any(one.severity == "error" for one in found)))


def train(suite: Suite, given: dict[str, Any], data: Path, program: str) -> None:
    """Train the tasks, one run a seed: runs that have ended are left alone, others go on where they stopped."""
    if "output_dir" not in given:
        raise OptionError("--output-dir must be given")
    if "seed" in given and given.get("seeds") is not None:
        raise OptionError(f"give either --seed or --seeds, got both {given['seed']} and {given['seeds']}")
    own = ("tasks", "seeds", "splits", "preset", "variant", "output_dir", "seed", "overwrite")
    training = Training(
        suite,
        data,
        Path(given["output_dir"]),
        tasks=given.get("tasks"),
        seeds=given.get("seeds") or [given.get("seed", 42)],
        splits=given.get("splits"),
        preset=given.get("preset"),
        variants=given.get("variant", {}),
        options={name: value for name, value in given.items() if name not in own},
        overwrite=given.get("overwrite", False),
    )
    runs = training.run()
    failed = any(run.state == "failed" for run in runs)
    if not first_process():
        raise typer.Exit(int(failed))
    console = Console(highlight=False, markup=False)
    console.print(_table(suite, runs))
    for run in runs:
        if run.error is not None:
            console.print(f"{run.task}, {run.name} failed: {run.error}", soft_wrap=True)
    console.print(f"runs are in {given['output_dir']}; next:", soft_wrap=True)
    folder = shlex.quote(str(given["output_dir"]))
    predicts = any(task.predicted for task in suite.tasks)
    for action in (*([f"predict {shlex.quote(str(data))} {folder}"] if predicts else ()), f"report {folder}"):
        console.print(f"  {program} {action}", soft_wrap=True)
    raise typer.Exit(int(failed))


def _table(suite: Suite, runs: list[Run]) -> Table:
    table = Table("task", Column("run", overflow="fold"), "state", "metric", title=suite.name)
    table.add_column("score", justify="right")
    table.add_column("minutes", justify="right")
    tasks = {task.name: task for task in suite.tasks}
    for run in runs:
        task = tasks[run.task]
        score = run.score(task)
        cells = (
            "–" if score is None else f"{100 * score:.2f}",
            "–" if run.seconds is None else f"{run.seconds / 60:.1f}",
        )
        variant = run.settings.get("variant")
        metric = ", ".join(filter(None, (task.metric, variant and f"with {variant}", task.scored)))
        table.add_row(run.task, run.name, run.state, metric, *cells)
    return table


def predict(suite: Suite, given: dict[str, Any], data: Path, runs: Path) -> None:
    """Predict every test file with every trained model, in the order of the file, logits included."""
    failed = False
    batch_size = given.get("batch_size")
    for title, told in predict_suite(suite, data, runs, given.get("tasks"), given.get("use_cpu", False), batch_size):
        failed |= told.startswith("failed")
        if first_process():
            typer.echo(f"{title}: {told}")
    raise typer.Exit(int(failed))


def pack(suite: Suite, given: dict[str, Any], predictions: Path, target: Path) -> None:
    """Write the zip of a submission from predictions, such as RUNS/predictions/best."""
    from hf_ext.suites.submission import pack as write_zip

    contents = submission_contents(suite, predictions, given.get("splits"), given.get("tasks"))
    data = given.get("data")
    files = [] if data is None else _submission_files(suite, given, data, contents)
    missing = ", ".join(file.name for file in files if file.required and file.name not in contents)
    if missing:
        raise ValueError(
            f"predictions must be of all test files in {data}, unless --tasks names those to pack alone, got none for "
            f"{missing} in {predictions}"
        )
    for fault in write_zip(contents, target, files):
        typer.echo(str(fault))
    if suite.zip_name not in (None, target.name):
        typer.echo(f"{target}: warning: the zip must be called {suite.zip_name}")
    typer.echo(f"written to {target}: {', '.join(contents)}")


def validate(suite: Suite, given: dict[str, Any], target: Path, data: Path) -> None:
    """Check the zip of a submission, made here or elsewhere, against the official files."""
    from hf_ext.suites.submission import validate as faults_of

    faults = faults_of(target, _submission_files(suite, given, data), suite.zip_name)
    for fault in faults:
        typer.echo(str(fault))
    errors = sum(fault.severity == "error" for fault in faults)
    typer.echo(f"{target}: {errors} errors, {len(faults) - errors} warnings")
    raise typer.Exit(int(errors > 0))


def _submission_files(suite: Suite, given: dict[str, Any], data: Path, packed: Collection[str] = ()) -> list[Any]:
    """What each file of a submission has to have.

    Args:
        suite: of the tasks.
        given: names of tasks and splits, of which it is.
        data: the folder of the official files.
        packed: the names of files that are to be in it.

    Raises:
        ValueError: if the folder of the official files has no test file to check by, or not that of each name.
    """
    from hf_ext.suites.submission import file_of_rows

    # Where each task has a submission of its own, what there is says which one it is.
    names = packed if packed and not suite.one_submission else None
    files = [
        file_of_rows(
            name,
            task.submission,
            rows,
            labels_of_submission(data, task),
            any_name=not suite.one_submission,
            required=name not in task.optional,
        )
        for name, task, rows in expected_files(suite, data, given.get("tasks"), given.get("splits"), names)
    ]
    missing = ", ".join(name for name in packed if name not in {file.name for file in files})
    if missing or not files:
        raise ValueError(f"data must have the test files of {missing or suite.name}, got none in {data}")
    return files


def report(suite: Suite, given: dict[str, Any], runs: Path) -> None:
    """Write the scores of all runs beside published ones: report.md, report.json, report.html."""
    report = suite_report(suite, runs)
    folder = Path(given.get("output") or runs)
    write_suite_report(folder, report, given.get("title"))
    Console(highlight=False, markup=False).print((folder / "report.md").read_text(encoding="utf-8"), soft_wrap=True)
    typer.echo(f"report: {folder / 'report.html'}", err=True)
