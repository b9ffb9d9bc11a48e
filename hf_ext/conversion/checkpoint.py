"""Reading and writing the variables of a TensorFlow checkpoint. The only file that imports TensorFlow."""

import importlib
import os
import re
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.release import Release

_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}

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
        shapes: the shape of each variable, as TensorFlow stores it.
        dtypes: the name of each variable's type, such as "float32".

    Raises:
        ConversionError: TensorFlow is not installed, the index is unreadable, or the data files are too short for it.
    """

    def __init__(self, release: Release) -> None:
        tensorflow = _import_tensorflow()
        self.prefix: Path = release.checkpoint
        # TensorFlow's own errors, and those its C++ reader throws: a short read is an IndexError.
        self._errors = (tensorflow.errors.OpError, LookupError, RuntimeError, ValueError)
        try:
            self._reader: Any = tensorflow.train.load_checkpoint(str(self.prefix))
            self.shapes = {name: tuple(shape) for name, shape in self._reader.get_variable_to_shape_map().items()}
            types = self._reader.get_variable_to_dtype_map()
        except self._errors as error:
            raise ConversionError(
                f"{self.prefix}.index is not readable as a checkpoint index: {_line(error)}"
            ) from error
        self.dtypes = {name: dtype.name for name, dtype in types.items()}
        self._check_sizes(release.shards)

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
        """One variable as a tensor of the stored shape and type.

        Raises:
            ConversionError: the data is damaged or belongs to another index, or a value is not finite.
        """
        try:
            tensor = torch.from_numpy(self._reader.get_tensor(variable))
        except self._errors as error:
            raise ConversionError(
                f"{self.prefix}: {variable} cannot be read; the data is damaged or belongs to another index: "
                f"{_line(error)}"
            ) from error
        if not tensor.isfinite().all():
            raise ConversionError(f"{self.prefix}: {variable} holds NaN or infinite values")
        return tensor

    def _check_sizes(self, shards: tuple[Path, ...]) -> None:
        # A reader opens the data only when a variable is read; a short file is cheaper to see here.
        items = {name: _DTYPES[dtype].itemsize for name, dtype in self.dtypes.items() if dtype in _DTYPES}
        needed = sum(prod(self.shapes[name]) * size for name, size in items.items())
        present = sum(shard.stat().st_size for shard in shards)
        if present < needed:
            raise ConversionError(
                f"{self.prefix}: the data files hold {present} bytes, the index needs {needed}; the data is truncated "
                "or belongs to another index"
            )


def write_checkpoint(prefix: Path, variables: Mapping[str, Tensor]) -> None:
    """Write variables as a checkpoint of TensorFlow's V2 format, under their own names, in one data file.

    Raises:
        ConversionError: TensorFlow is not installed.
    """
    tensorflow = _import_tensorflow()
    with tensorflow.device("CPU"):
        tensorflow.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=list(variables),
            shape_and_slices=[""] * len(variables),
            tensors=[tensorflow.constant(tensor.numpy()) for tensor in variables.values()],
        )


def _import_tensorflow() -> ModuleType:
    # Read when TensorFlow's libraries load: silences their start-up messages on stderr.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return importlib.import_module("tensorflow")
    except ImportError as error:
        raise ConversionError(
            f'reading or writing an original release needs TensorFlow: pip install "hf-ext[convert]" ({_line(error)})'
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
