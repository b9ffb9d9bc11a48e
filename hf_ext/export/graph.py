"""A graph of a model: a function of tensors alone, and what it is tried with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Inputs = Mapping[str, Tensor]
Outputs = Callable[[Any, Inputs], tuple[Tensor, ...]]


class GraphModule(nn.Module):
    """A model as a function of tensors alone.

    Args:
        model: the model.
        names: of its inputs.
        outputs: what is read of it.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], outputs: Outputs) -> None:
        super().__init__()
        self.model, self.names, self.outputs = model, tuple(names), outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in their order."""
        return self.outputs(self.model, dict(zip(self.names, inputs, strict=True)))


@dataclass(frozen=True)
class Graph:
    """One graph of a model.

    Attributes:
        name: of the file, without its ending.
        module: takes the inputs in the order of their names.
        outputs: names of what it gives.
        example: inputs of so many texts and so many tokens, the same each time; sizes that depend on either are free.
    """

    name: str
    module: GraphModule
    outputs: Sequence[str]
    example: Callable[[int, int], tuple[Tensor, ...]]
