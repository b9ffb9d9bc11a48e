"""What the submission of a suite has in it: the files made of predictions, and what each has to have."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_ext.suites.files import has_part, read_part
from hf_ext.suites.prediction import BEST, read_predictions
from hf_ext.suites.suite import Suite, SuiteTask

# What a board calls a split that is all of the data.
_BOARD = {"few_all": "all"}


def submission_contents(suite: Suite, predictions: Path, splits: Sequence[str] | None = None) -> dict[str, Any]:
    """The content of each file of a submission, by its name: lines, or one object.

    Args:
        suite: of the tasks.
        predictions: a folder of predictions with a folder for each task, as ``predictions/best``; with ``splits`` that
            which has one for each split, ``predictions``.
        splits: those whose best predictions are packed, each under a name of its own; None: not by split.

    Raises:
        ValueError: if the suite has no submissions, or there are no predictions.
    """
    contents: dict[str, Any] = {}
    for task, part, name, split in _files(suite, splits):
        folder = predictions if split is None else predictions / f"{BEST}-{split}"
        path = folder / task.name / f"{part}.jsonl"
        if not path.is_file():
            continue
        lines = [task.submission_line(one) for one in read_predictions(path)]
        contents[name] = _joined(lines, path) if task.submits_object else lines
    if not contents:
        raise ValueError(
            f"there must be predictions of the suite {suite.name}, as predict writes them, in {predictions}"
        )
    return contents


def expected_files(
    suite: Suite, data: Path, tasks: Sequence[str] | None = None, splits: Sequence[str] | None = None
) -> Iterator[tuple[str, SuiteTask, list[Any]]]:
    """The name, the task and the official rows of each file of a submission whose test file is there.

    Args:
        suite: of the tasks.
        data: the folder of the official files.
        tasks: the names of those that are submitted; None: all.
        splits: as in `submission_contents`.

    Raises:
        ValueError: if the suite has no submissions.
    """
    for task, part, name, split in _files(suite, splits):
        if (tasks is None or task.name in tasks) and has_part(data, task, part, split):
            yield name, task, read_part(data, task, part, split)


def _files(suite: Suite, splits: Sequence[str] | None) -> Iterator[tuple[SuiteTask, str, str, str | None]]:
    if not any(task.submissions for task in suite.tasks):
        raise ValueError(f"suite must have submissions to pack or validate, got {suite.name}, which has none")
    chosen: Sequence[str | None] = (None,) if splits is None else suite.chosen_splits(splits)
    for task in suite.tasks:
        for part, name in task.submissions.items():
            for split in chosen:
                stem, dot, ending = name.rpartition(".")
                own = name if split is None else f"{stem}_{_BOARD.get(split, split)}{dot}{ending}"
                yield task, part, own, split


def _joined(entries: Sequence[Mapping[str, Any]], path: Path) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for entry in entries:
        for key, value in entry.items():
            if key in joined:
                raise ValueError(f"ids must differ, got {key!r} twice in {path}")
            joined[key] = value
    return joined
