"""What is computed over the documents of a file, in parts that any machine may take."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

PartFunction = Callable[[int, list[Any]], bytes]


class FileWork(Protocol):
    """Work over a file: it is sent to those who do it, so it holds settings and no model."""

    file: Path
    """Where the documents are."""

    @property
    def part_size(self) -> int:
        """Documents of a part, but for the last."""
        ...

    def documents(self) -> Iterator[Any]:
        """The documents of the file, read as they are asked for."""
        ...

    def open(self) -> PartFunction:
        """Load the model; give what computes the content of a part from its number and its documents."""
        ...

    def write(self, output: Path, contents: Iterable[bytes]) -> None:
        """Write the file of all parts, whose contents come in their order."""
        ...

    def settings(self) -> dict[str, Any]:
        """All that the contents come from beside the file, as JSON has it."""
        ...


def absolute(name: str) -> str:
    """The name of a model, of a folder such as any process on this machine finds it."""
    return str(Path(name).absolute()) if Path(name).is_dir() else name


def parts_of(documents: Iterable[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    """Documents in parts of ``size``, the last of which may have fewer, each after its number from 0."""
    iterator = iter(documents)
    number = 0
    while part := list(islice(iterator, size)):
        yield number, part
        number += 1
