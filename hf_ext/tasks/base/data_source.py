"""What a job trains and is scored on where that is no file of lines: a data set, or tables, which become such files."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from hf_ext.data.dataset_file import dataset_file, is_table, validation_split

_OF_DATASET = ("dataset_config", "train_split", "validation_split", "test_split", "streaming")
_PARTS = ("train", "validation", "test")


def with_files(job: Any) -> Any:
    """A job whose files its readers read: itself, or a copy for which data sets and tables were made files of lines.

    Raises:
        ValueError: if neither a file nor a data set is given, both are, an option has no effect, or a data set cannot
            be read.
    """
    if job.streams:
        return job
    files = {part: file for part in _PARTS if (file := _file(job, part)) is not None}
    tables = {part for part, file in files.items() if is_table(file)}
    _check_options(job, tables)
    if job.dataset is None and not tables:
        return job
    made = copy(job)
    made.as_given = job
    # They are renamed in what is written.
    made.columns = {}
    options: dict[str, Any] = {"columns": job.columns, "streaming": job.streaming, "lines": job.lines_of_row}
    for part in _PARTS:
        if part in tables:
            path = dataset_file(files[part], **options)
        elif part not in files and job.dataset is not None:
            split = _split(job, part)
            if split is None:
                continue
            path = dataset_file(job.dataset, split, job.dataset_config, **options)
        else:
            continue
        setattr(made, f"{part}_file", path)
    made.dataset = None
    made.streaming = False
    for name in ("dataset_config", "train_split", "validation_split", "test_split"):
        setattr(made, name, None)
    return made


def file_of_lines(job: Any, file: Path) -> Path:
    """A file that the job's readers read: itself, or what was made of a table."""
    return dataset_file(file, columns=job.columns, lines=job.lines_of_row) if is_table(file) else file


def source_of(job: Any, part: str) -> str:
    """What the part of a job is called: its file, or the data set and its split.

    Args:
        job: as it was given, or with files.
        part: ``"train"``, ``"validation"`` or ``"test"``.
    """
    job = job.as_given or job
    file = _file(job, part)
    if job.streams and part == "validation" and file is None and job.validation_split is None:
        return f"{source_of(job, 'train')} (held out)"
    if file is not None or job.dataset is None:
        return str(file)
    return f"{job.dataset} ({getattr(job, f'{part}_split') or part})"


def _file(job: Any, part: str) -> Path | None:
    file = getattr(job, f"{part}_file")
    return None if file is None else Path(file)


def _split(job: Any, part: str) -> str | None:
    given: str | None = getattr(job, f"{part}_split")
    if given is not None or part == "test":
        return given
    return "train" if part == "train" else validation_split(job.dataset, job.dataset_config)


def _check_options(job: Any, tables: set[str]) -> None:
    given: Mapping[str, Any] = {name: getattr(job, name) for name in _OF_DATASET}
    if job.dataset is None:
        for name, value in given.items():
            if value:
                raise ValueError(f"{name} goes with a dataset, got {value} without one")
        for part in ("train", "validation"):
            if _file(job, part) is None:
                raise ValueError(f"{part}_file must be given, or a dataset, got neither")
        if job.columns and not tables:
            raise ValueError("columns go with a dataset or files of Parquet or Arrow, got some with neither")
        return
    for part in _PARTS:
        if given[f"{part}_split"] is not None and _file(job, part) is not None:
            raise ValueError(f"give either {part}_file or {part}_split, got both")
    if _file(job, "train") is not None:
        raise ValueError("give either train_file or dataset, got both")
