"""What rows of a batch leave behind, from which they go on: tensors of a row each."""

from dataclasses import dataclass, fields
from typing import Self

from torch import Tensor


@dataclass
class RowState:
    """Base of states whose fields are tensors with the rows of a batch in front."""

    def select(self, rows: Tensor) -> Self:
        """The state of other rows, ``rows`` ``[R]`` being their indices."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{name: x.index_select(0, rows.to(x.device)) for name, x in chosen.items()})
