"""What the submission of a suite has in it: the files made of predictions, and what each has to have."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_ext.suites.files import has_part, read_part, schema_file
from hf_ext.suites.jobs import labels_of_schema
from hf_ext.suites.prediction import BEST, read_predictions
from hf_ext.suites.suite import Suite, SuiteTask

# What a board calls a split that is all of the data.
_BOARD = {"few_all": "all"}


def submission_contents(
    suite: Suite, predictions: Path, splits: Sequence[str] | None = None, tasks: Sequence[str] | None = None
) -> dict[str, Any]:
    """The content of each file of a submission, by its name: lines, or one object.

    Args:
        suite: of the tasks.
        predictions: a folder of predictions with a folder for each task, as ``predictions/best``; with ``splits`` that
            which has one for each split, ``predictions``.
        splits: those whose best predictions are packed, each under a name of its own; None: not by split.
        tasks: the names of those that are submitted; None: all.

    Raises:
        ValueError: if the suite has no submissions, or there are no predictions, or files of several submissions.
    """
    contents: dict[str, Any] = {}
    for task, part, name, split in _files(suite, splits, tasks):
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
    _check_one(suite, contents)
    return contents


def expected_files(
    suite: Suite,
    data: Path,
    tasks: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    names: Collection[str] | None = None,
) -> Iterator[tuple[str, SuiteTask, list[Any]]]:
    """The name, the task and the official rows of each file of a submission whose test file is there.

    Args:
        suite: of the tasks.
        data: the folder of the official files.
        tasks: the names of those that are submitted; None: all.
        splits: as in `submission_contents`.
        names: of the files; None: all.

    Raises:
        ValueError: if the suite has no submissions, a test file cannot be read, or they are files of several.
    """
    found = [
        (task, part, name, split)
        for task, part, name, split in _files(suite, splits, tasks)
        if (names is None or name in names) and has_part(data, task, part, split)
    ]
    _check_one(suite, [name for _, _, name, _ in found])
    for task, part, name, split in found:
        yield name, task, read_part(data, task, part, split)


def labels_of_submission(data: Path, task: SuiteTask) -> Sequence[str]:
    """The labels that a submission may have: those of the task, or of its official file of them."""
    schema = schema_file(data, task)
    return task.submission_labels or task.labels if schema is None else labels_of_schema(task, schema)


def _check_one(suite: Suite, names: Collection[str]) -> None:
    """Raise ValueError for files of several submissions."""
    if not suite.one_submission and len(names) > 1:
        raise ValueError(
            f"tasks must be one, as each of {suite.name} has a submission of its own, got {', '.join(names)}"
        )


def _files(
    suite: Suite, splits: Sequence[str] | None, tasks: Sequence[str] | None
) -> Iterator[tuple[SuiteTask, str, str, str | None]]:
    if not any(task.submissions for task in suite.tasks):
        raise ValueError(f"suite must have submissions to pack or validate, got {suite.name}, which has none")
    chosen: Sequence[str | None] = (None,) if splits is None else suite.chosen_splits(splits)
    for task in suite.chosen(tasks):
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
