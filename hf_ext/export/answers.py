"""What the answers of all tasks have in common: graphs, and options that a call may have."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from hf_ext.export.description import OnnxDescription
from hf_ext.export.graph_session import GraphSession
from hf_ext.tasks.base.window_encoding import SORTED_BATCHES


class Answers:
    """The answers of one task; a subclass makes them.

    Args:
        folder: with what makes the graphs' inputs.
        description: of the folder.
        config: of the model.
        graphs: by their names.
    """

    options: ClassVar[tuple[str, ...]] = ()
    """The options that a call may have."""
    tokenizer: Any = None
    """That of the model, if it reads texts."""

    def __init__(
        self, folder: Path, description: OnnxDescription, config: Any, graphs: Mapping[str, GraphSession]
    ) -> None:
        self.description, self.config, self.graphs = description, config, graphs

    def stream(self, inputs: Iterator[Any], batch_size: int, **options: Any) -> Iterator[Any]:
        """The answer to each input, in their order; as many inputs are taken at a time as fill some batches."""
        while some := list(islice(inputs, batch_size * SORTED_BATCHES if batch_size > 1 else 1)):
            yield from self.answers(some, batch_size, **options)

    def answers(self, inputs: Sequence[Any], batch_size: int, **options: Any) -> Iterator[Any]:
        """The answer to each of several inputs."""
        raise NotImplementedError

    def joined(self, answers: list[Any]) -> Any:
        """What is given for a list of inputs."""
        return answers
