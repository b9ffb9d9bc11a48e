"""The variables of a release's checkpoint: their types, their values, and which are the model's."""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from hf_ext.conversion.bundle import Bundle, is_bundle
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.hdf5 import HDF5File
from hf_ext.conversion.release import Release

_DTYPES = {name: getattr(torch, name) for name in ("bfloat16", "float16", "float32", "float64")}

# Optimizer slots end a variable's name; step counters and loss scales are variables of their own.
_TRAINING_STATE = re.compile(
    r"(^|/)(adam_[mv]|lamb_[mv]|Adam(_\d+)?|AdamWeightDecayOptimizer(_\d+)?|Momentum"
    r"|global_step|beta[12]_power|loss_scale|good_steps)$"
)


def is_training_state(variable: str) -> bool:
    """Whether a variable belongs to an optimizer or a training loop rather than to the model."""
    return _TRAINING_STATE.search(variable) is not None


class Checkpoint:
    """The variables of one checkpoint by name.

    Attributes:
        shapes: the shape of each variable, as it is stored.
        dtypes: the name of each variable's type, such as "float32".

    Raises:
        ConversionError: the files are unreadable, or the data files are too short for their index.
        MissingExtraError: the checkpoint is an HDF5 file, and h5py is not installed.
    """

    def __init__(self, release: Release) -> None:
        self.prefix: Path = release.checkpoint
        self._variables = Bundle(self.prefix) if is_bundle(self.prefix) else HDF5File(self.prefix)
        self.shapes = {name: entry.shape for name, entry in self._variables.entries.items()}
        self.dtypes = {name: str(entry.dtype) for name, entry in self._variables.entries.items()}

    def dtype(self, variables: Iterable[str]) -> torch.dtype:
        """The type of these variables.

        Raises:
            ConversionError: they are of several types, or of one that is not a float.
        """
        types = sorted({self.dtypes[variable] for variable in variables})
        if len(types) > 1 or types[0] not in _DTYPES:
            raise ConversionError(
                f"{self.prefix}: variables of type {', '.join(types)}; one of {', '.join(_DTYPES)} is expected"
            )
        return _DTYPES[types[0]]

    def read(self, variable: str) -> Tensor:
        """One variable as a tensor of the stored shape and type, where that can be a view of the file.

        Raises:
            ConversionError: the data is damaged or belongs to another index, or a value is not finite.
        """
        tensor = self._variables.read(variable)
        # The least and the greatest are NaN if any value is.
        if tensor.numel() and not all(bound.isfinite() for bound in tensor.aminmax()):
            raise ConversionError(f"{self.prefix}: {variable} holds NaN or infinite values")
        return tensor
