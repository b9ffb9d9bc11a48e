"""Predicts the test files of a suite with its trained models, in the order of the files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.data.text_lines import parse_json, read_lines
from hf_ext.suites.files import has_part, read_part
from hf_ext.suites.runs import Run, best_run, find_runs, first_process
from hf_ext.suites.suite import Row, Suite, SuiteTask
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.base.saved_model import SavedModel
from hf_ext.training.progress import say

PREDICTIONS = "predictions"
"""The folder of predictions among the runs: of each run by its name, and of the best of each task under ``best``."""

BEST = "best"


def task_predictions(
    task: SuiteTask, rows: Sequence[Row], model: Path, use_cpu: bool = False, batch_size: int | None = None
) -> list[dict[str, Any]]:
    """What a trained model says of rows, in their order, with their ids.

    Args:
        task: that the model was trained for.
        rows: with labels, which have no effect, or without.
        model: its folder.
        use_cpu: run on the CPU, even if there is a GPU.
        batch_size: texts run at a time; None: as in training.

    Returns:
        Dicts of ``id`` and what :meth:`hf_ext.tasks.base.job.Job.predictions` tells.
    """
    job = job_of_model(str(model), task.job)
    stand_in = dict(task.unlabelled)
    if task.labels:
        # One that the model knows: a small training file may lack some.
        stand_in["label"] = job.labels_of_model(SavedModel.read(str(model)).config)[0]
    examples = [{**row.example, **stand_in} for row in rows]
    given: dict[str, Any] = {} if batch_size is None else {"per_device_eval_batch_size": batch_size}
    arguments = job.training_arguments(model, use_cpu=use_cpu, **given)
    found, trained = job.find_in(examples, arguments)
    told = job.predictions(found, examples, trained)
    if len(told) != len(rows):
        raise RuntimeError(f"predictions must be as many as rows, {len(rows)}, got {len(told)}")
    return [{"id": row.id, **own} for row, own in zip(rows, told)]


def write_predictions(path: Path, predictions: Sequence[Mapping[str, Any]]) -> None:
    """Write predictions as lines of JSON; of several processes, which have the same, the first does."""
    if not first_process():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        for one in predictions:
            file.write(json.dumps(one, ensure_ascii=False) + "\n")


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """Predictions as `write_predictions` wrote them.

    Raises:
        TextFileError: naming the file and the line, if one is no JSON.
    """
    return [parse_json(line, where) for where, line in read_lines(path)]


def predict_suite(
    suite: Suite,
    data: Path,
    output: Path,
    tasks: Sequence[str] | None = None,
    use_cpu: bool = False,
    batch_size: int | None = None,
) -> Iterator[tuple[str, str]]:
    """Predict every test file that is there with every run that has ended.

    Predictions are ``predictions/<run>/<task>/<part>.jsonl`` in the folder of runs. Those of the run that is best on
    the validation file stand under ``predictions/best`` too; and in a suite with splits, of each split under
    ``predictions/best-<split>``.

    Args:
        suite: of the tasks.
        data: the folder of the official files.
        output: the folder of the runs.
        tasks: the names of those to predict; None: all that have a run.
        use_cpu: run on the CPU, even if there is a GPU.
        batch_size: texts run at a time; None: as in training.

    Yields:
        A title, and what was done, or what is wrong behind ``"failed: "``: one failure does not stop the others.

    Raises:
        ValueError: if the suite has no files to predict, or no run has ended.
    """
    if not any(task.predicted for task in suite.tasks):
        raise ValueError(
            f"suite must have files to predict, got {suite.name}, which scores all of its files: see report"
        )
    ended = {
        task.name: [pair for pair in find_runs(output, suite, [task]) if pair[0].state == "finished"]
        for task in suite.chosen(tasks)
    }
    if tasks is None and not any(ended.values()):
        raise ValueError(f"there must be runs of the suite {suite.name} that have ended, got none in {output}")
    for task in suite.chosen(tasks):
        runs = ended[task.name]
        if not runs and tasks is not None:
            yield task.name, "failed: no run has ended"
        made: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for run, folder in runs:
            try:
                made[run.name] = _predict_run(task, run, folder, data, output, use_cpu, batch_size)
            except Exception as error:
                yield f"{task.name}, {run.name}", f"failed: {' '.join(f'{type(error).__name__}: {error}'.split())}"
                continue
            told = ", ".join(f"{len(own)} of {part}" for part, own in made[run.name].items())
            yield f"{task.name}, {run.name}", told or "no test file is there"
        predicted = [pair for pair in runs if pair[0].name in made]
        for name, among in _choices(suite, predicted):
            best = best_run(among, task)
            if best is not None:
                folder = output / PREDICTIONS / name / task.name
                for part, own in made[best[0].name].items():
                    write_predictions(folder / f"{part}.jsonl", own)
                # What is left of another run would be packed with it; its own folder still has it.
                for path in folder.glob("*.jsonl") if first_process() else ():
                    if path.stem not in made[best[0].name]:
                        path.unlink()


def _choices(suite: Suite, runs: Sequence[tuple[Run, Path]]) -> Iterator[tuple[str, list[tuple[Run, Path]]]]:
    """The names under which best predictions are written, each with the runs to choose from."""
    yield BEST, list(runs)
    for split in (*suite.splits, *suite.more_splits):
        yield f"{BEST}-{split}", [pair for pair in runs if pair[0].split == split]


def _predict_run(
    task: SuiteTask, run: Run, folder: Path, data: Path, output: Path, use_cpu: bool, batch_size: int | None
) -> dict[str, list[dict[str, Any]]]:
    made = {}
    task = task.trained(run.settings["preset"])
    for part in task.predicted:
        if not has_part(data, task, part, run.split):
            continue
        rows = read_part(data, task, part, run.split, run.settings["variant"])
        if first_process():
            say(f"{task.name}, {run.name}: predicts {part}")
        made[part] = task_predictions(task, rows, folder, use_cpu, batch_size)
        write_predictions(output / PREDICTIONS / run.name / task.name / f"{part}.jsonl", made[part])
    return made
