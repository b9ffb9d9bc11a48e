"""The options of the engine that a command runs on, which the commands over files share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Engine = Annotated[
    Literal["ray"] | None,
    typer.Option(help="Run on a cluster, or on more processes of this machine, by Ray; else in this process."),
]

Workers = Annotated[
    int | None,
    typer.Option(help="With --engine ray: processes that hold the model; else one a GPU, or a processor."),
]


def check_engine(engine: str | None, only_with: Mapping[str, Any], not_with: Mapping[str, Any]) -> None:
    """Refuse the options that have no effect.

    Args:
        engine: that was asked for.
        only_with: options that need one, by name; what is not given is None or False.
        not_with: options that go without one only.

    Raises:
        ValueError: naming the option.
    """
    if engine is None:
        for name, value in only_with.items():
            if value is not None and value is not False:
                raise ValueError(f"{name} has no effect without --engine ray; leave it out")
        return
    for name, value in not_with.items():
        if value:
            raise ValueError(f"{name} does not go with engine {engine}, which writes a file from a file; leave it out")


def file_to_read(name: str, file: Path | None, engine: str) -> Path:
    """The file that an engine reads.

    Raises:
        ValueError: if there is none, or it is read once only, as a pipe is.
    """
    if file is None or not file.is_file():
        seen = "standard input" if file is None else file
        raise ValueError(f"{name} must be a file with engine {engine}, which reads it more than once, got {seen}")
    return file
