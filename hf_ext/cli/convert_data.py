"""`hf-ext convert-data`: files in any format that a task reads to JSON lines, or for an annotation tool."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hf_ext.atomic_file import atomic_write
from hf_ext.data.formats.registry import Format, formats
from hf_ext.tasks.base.task_files import TaskFiles, task_files

_LINES = "jsonl"
if TYPE_CHECKING:
    Task = str
    Form = str
else:
    Task = Literal[tuple(task_files())]
    Form = Literal[_LINES, *(name for name, form in formats().items() if form.writes)]


def convert_data(
    task: Annotated[Task, typer.Argument(help="Whose files they are, as under hf-ext train.")],
    input: Annotated[Path, typer.Argument(help="File or folder, in any format that the task reads.")],
    output: Annotated[Path, typer.Argument(help="File to write.")],
    to: Annotated[Form, typer.Option(help="What to write.")] = _LINES,
    split: Annotated[
        str | None, typer.Option(help="Of a file of dialogues: train, validation or test; else train.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a task's file in any of its formats as JSON lines, or as doccano or label-studio import them."""
    files = task_files()[task]
    refuse_own_input(input, output)
    # Somebody may have annotated it.
    if output.exists() and not overwrite:
        raise ValueError(f"output must not be there unless overwrite is given, got {output}")
    if split is not None and not files.splits:
        raise ValueError(f"split goes with files that hold several, as those of dialogue, got {split!r} with {task}")
    examples = files.read(input) if split is None else files.read(input, split)
    form = None if to == _LINES else formats()[to]
    records = iter(examples) if form is None else tool_records(examples, files, form)
    chunks = array_chunks(records) if form is not None and form.whole else line_chunks(records)
    if form is None:
        write_chunks(output, chunks)
    else:
        write_checked(output, chunks, examples, files, form)
    typer.echo(f"{len(examples)} examples in {output}", err=True)


def refuse_own_input(input: Path, output: Path) -> None:
    """Raise ValueError if what is to be written is, or lies in, what is to be read."""
    read, written = Path(os.path.realpath(input)), Path(os.path.realpath(output))
    same = input.exists() and output.exists() and os.path.samefile(input, output)
    # A text of brat is read with the annotations beside it.
    beside = read.suffix in (".txt", ".ann") and written in (read.with_suffix(".txt"), read.with_suffix(".ann"))
    if same or beside or read == written or (input.is_dir() and read in written.parents):
        raise ValueError(f"output must not be the input or a file of it, got {output}")


def tool_records(examples: Sequence[Mapping[str, Any]], files: TaskFiles, form: Format) -> Iterator[Any]:
    """What a tool imports of each example.

    Raises:
        ValueError: naming the example, if the tool has no place for what is in it.
    """
    if files.content is None or files.content not in form.writes:
        raise ValueError(f"{form.name} has no place for the examples of {files.command}")
    for number, example in enumerate(examples, start=1):
        try:
            yield form.writes[files.content](files.shared(example), number)
        except KeyError as error:
            raise ValueError(f"example {number} must be labelled, got none of its {error}") from error
        except ValueError as error:
            raise ValueError(f"example {number}: {error}") from error


def line_chunks(records: Iterator[Any]) -> Iterator[str]:
    """JSON lines."""
    return (json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def array_chunks(records: Iterator[Any]) -> Iterator[str]:
    """One JSON array, an item a line."""
    before = "["
    for record in records:
        yield f"{before}\n{json.dumps(record, ensure_ascii=False)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def write_chunks(path: Path, chunks: Iterator[str]) -> None:
    """Write a file whole or not at all."""
    with atomic_write(path) as file:
        file.writelines(chunks)


def write_checked(
    path: Path, chunks: Iterator[str], examples: Sequence[Mapping[str, Any]], files: TaskFiles, form: Format
) -> None:
    """Write a file from which the same is read again.

    Raises:
        ValueError: naming the first example that the format has no place for.
    """
    with TemporaryDirectory() as folder:
        draft = Path(folder) / "draft"
        write_chunks(draft, chunks)
        again = files.read(draft)
        for number, (one, other) in enumerate(zip(examples, again), start=1):
            if one != other:
                raise ValueError(f"{form.name} has no place for all of example {number}, {str(one)[:60]!r}")
        if len(again) != len(examples):
            raise ValueError(
                f"{form.name} has no place for the {len(examples)} examples as they are, but for {len(again)}"
            )
        with draft.open(encoding="utf-8", newline="") as written:
            write_chunks(path, written)
