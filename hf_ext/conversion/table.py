"""The mapping between TensorFlow variables and parameters: a table of rows, readable in both directions.

A row is (variable, parameter, transform). `{i}` in both names stands for the layer, and takes a format, as `{i:03d}`.
Every transform is its own inverse, so one table serves both ways.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, empty

Table = Sequence[tuple[str, str, str]]

TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda tensor: tensor,
    # A Keras kernel is [in, out], a linear layer's weight is [out, in].
    "transpose": lambda tensor: tensor.T.contiguous(),
}

_LAYER = re.compile(r"\{i(?::0?\d+d)?\}")


@dataclass(frozen=True)
class Row:
    """One variable, the parameter it becomes, and the name of the transform between them."""

    variable: str
    parameter: str
    transform: str

    def parameter_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the parameter that a variable of this shape makes."""
        return tuple(TRANSFORMS[self.transform](empty(shape, device="meta")).shape)


def check_table(table: Table) -> None:
    """Refuse a table that is not one-to-one or names an unknown transform.

    Raises:
        ValueError: with the row that is wrong.
    """
    for column, kind in enumerate(("variable", "parameter")):
        names = [row[column] for row in table]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"table: {kind} {name!r} is in {names.count(name)} rows; one is expected")
    for variable, parameter, transform in table:
        if transform not in TRANSFORMS:
            raise ValueError(f"table: transform {transform!r} of {variable!r}; one of {sorted(TRANSFORMS)} is expected")
        if len(_LAYER.findall(variable)) != len(_LAYER.findall(parameter)):
            raise ValueError(f"table: {variable!r} and {parameter!r} must both have the layer number, or neither")


def count_layers(table: Table, variables: Iterable[str]) -> int:
    """How many layers the variables make: the highest layer number that a row of the table fits, plus one."""
    patterns = [
        re.compile(r"(\d+)".join(re.escape(part) for part in _LAYER.split(variable)))
        for variable, _, _ in table
        if _LAYER.search(variable)
    ]
    numbers = (int(match[1]) for name in variables for pattern in patterns if (match := pattern.fullmatch(name)))
    return max(numbers, default=-1) + 1


def expand(table: Table, layers: int) -> tuple[Row, ...]:
    """The rows of a model of that many layers, in the order of the table."""
    rows = []
    for variable, parameter, transform in table:
        for i in range(layers) if _LAYER.search(variable) else (0,):
            rows.append(Row(variable.format(i=i), parameter.format(i=i), transform))
    return tuple(rows)


def to_parameters(rows: Iterable[Row], variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that the variables make."""
    return {row.parameter: TRANSFORMS[row.transform](variables[row.variable]) for row in rows}


def to_variables(rows: Iterable[Row], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The variables that a state dict makes: the inverse of `to_parameters`."""
    return {row.variable: TRANSFORMS[row.transform](parameters[row.parameter]) for row in rows}
