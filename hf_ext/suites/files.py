"""The official files of a task: where they are, their rows as examples, and the lines of JSON that its job reads."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.data.listed_labels import listed_labels
from hf_ext.data.text_lines import FileLine, TextFileError, fail, json_objects, read_lines
from hf_ext.suites.suite import FileNames, Reader, Row, SuiteTask

_PUBLIC = "_public"
_SPLIT = "{split}"

MakeExample = Callable[[Mapping[str, Any], FileLine], dict[str, Any]]
"""An example of a record; raises ValueError naming its place."""


def json_rows(make: MakeExample, id_keys: Sequence[str] = ("id",)) -> Reader:
    """A reader of JSON lines, or of one JSON array of objects.

    Args:
        make: the example of an object.
        id_keys: of the row's id, the first that it has; a row without any has its number, from 0, over all files of
            the part.
    """

    def read(paths: Sequence[Path]) -> Iterator[Row]:
        number = 0
        for path in paths:
            for where, record in json_objects(read_lines(path)):
                own = next((record[key] for key in id_keys if key in record), number)
                yield Row(where, own, make(record, where))
                number += 1

    return read


def text_field(record: Mapping[str, Any], where: FileLine | str, *names: str) -> str:
    """The text that a record has under the first of these names that it has, as it stands.

    Raises:
        TextFileError: naming the place, if it has none of them, or no text.
    """
    name = next((one for one in names if one in record), None)
    if name is None or not isinstance(record[name], str):
        seen = sorted(record) if name is None else record[name]
        fail(where, f"a row must have a text under {' or '.join(names)}", seen)
    text: str = record[name]
    return text


def with_label(example: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """An example with the label of its record, as a string, if that has one."""
    label = record.get("label")
    if label is None:
        return example
    return {**example, "label": label if isinstance(label, str) else json.dumps(label)}


def task_folder(data: Path, task: SuiteTask) -> Path | None:
    """The folder of a task, by any of its names; None if there is none."""
    wanted = {name.lower() for name in (task.name, *task.folders)}
    there = sorted(folder for folder in data.iterdir() if folder.is_dir())
    found = [folder for folder in there if folder.name.lower().removesuffix(_PUBLIC) in wanted]
    # The plain name before that of a zip.
    return min(found, key=lambda folder: (folder.name != task.name, folder.name), default=None)


def part_names(names: FileNames, split: str | None = None) -> list[list[str]]:
    """The names that each file of a part goes by."""
    files = [names] if isinstance(names, str) else names
    each = [[one] if isinstance(one, str) else list(one) for one in files]
    return [[name.replace(_SPLIT, split or "") for name in own] for own in each]


def find_part(data: Path, task: SuiteTask, part: str, split: str | None = None) -> list[Path]:
    """The files of a part, in the order of the task.

    Raises:
        ValueError: if one is not there, naming those that were looked for.
    """
    if not data.is_dir():
        raise ValueError(f"data must be a folder with a folder for each task, got {data}")
    folder = task_folder(data, task)
    found = []
    for names in part_names(task.files[part], split):
        beside = [data / name for name in names if "/" in name]
        inside = [folder / name for name in names if "/" not in name] if folder else []
        places = [*inside, *beside]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            where = f"{folder or data / task.name}"
            raise ValueError(f"{task.name} must have {' or '.join(names)} for its part {part}, got none in {where}")
        found.append(path)
    return found


def schema_file(data: Path, task: SuiteTask) -> Path | None:
    """The official file of the labels of a task; None if there is none."""
    folder = task_folder(data, task)
    places = [folder / name for name in task.schema] if folder else []
    return next((place for place in places if place.is_file()), None)


def has_part(data: Path, task: SuiteTask, part: str, split: str | None = None) -> bool:
    """Whether all files of a part are there."""
    try:
        return bool(find_part(data, task, part, split))
    except ValueError:
        return False


def read_part(
    data: Path, task: SuiteTask, part: str, split: str | None = None, variant: str | None = None
) -> list[Row]:
    """All rows of a part, see `read_files`.

    Raises:
        ValueError: if a file is not there or a row cannot be read, naming it.
    """
    return read_files(task, part, find_part(data, task, part, split), variant)


def read_files(task: SuiteTask, part: str, paths: Sequence[Path], variant: str | None = None) -> list[Row]:
    """All rows of the files of a part, in their order.

    Rows of labelled parts have a label of the task or one that says that they have none; see `usable`.

    Raises:
        ValueError: if a row cannot be read, naming it.
    """
    rows = list(task.reader(variant)(paths))
    for row in rows if task.labels and part in task.labelled else ():
        label = row.example.get("label")
        if label not in task.labels and label not in task.no_label:
            fail(row.where, f"label must be one of {listed_labels(task.labels)}", label)
    for row in rows if task.unlabelled and part in task.labelled else ():
        # Of several keys any is the label's.
        if not task.unlabelled.keys() & row.example.keys():
            names = " or ".join(task.unlabelled)
            fail(row.where, f"a row to train on or to score must have {names}, and no placeholder", row.id)
    return rows


def usable(task: SuiteTask, rows: Sequence[Row]) -> list[Row]:
    """The rows that have a label, of a labelled part."""
    return [row for row in rows if not (task.no_label and row.example.get("label") in task.no_label)]


def write_examples(rows: Sequence[Row], path: Path) -> None:
    """Write the examples of rows as lines of JSON, which the job of their task reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        for row in rows:
            file.write(json.dumps(row.example, ensure_ascii=False) + "\n")


@contextmanager
def official_places(rows: Mapping[Path, Sequence[Row]]) -> Iterator[None]:
    """Make errors of a line that `write_examples` wrote name the official one.

    Args:
        rows: by the file that they were written to.
    """
    try:
        yield
    except TextFileError as error:
        path, number = error.where if isinstance(error.where, FileLine) else ("", 0)
        own = rows.get(Path(path))
        if own is None:
            raise
        raise TextFileError(own[number - 1].where, error.message) from error
