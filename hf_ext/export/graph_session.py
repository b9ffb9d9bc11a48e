"""A graph as onnxruntime runs it, of NumPy arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_ext.extras import extra

Array = NDArray[Any]


class GraphSession:
    """A graph that runs on the CPU.

    Args:
        path: of the file.
        outputs: their names, in the order in which the graph gives them.
        threads: to run on; None: as many as onnxruntime takes.

    Raises:
        MissingExtraError: if onnxruntime is not installed.
        ValueError: if the file is missing, or threads are fewer than 1.
    """

    def __init__(self, path: Path, outputs: Sequence[str], threads: int | None = None) -> None:
        with extra("onnx", "running an ONNX graph"):
            import onnxruntime
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        if not path.is_file():
            raise ValueError(f"folder must hold {path.name}, got {path.parent} without it")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        # What is left of a graph that was made for one shape is no fault of a user's.
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(one.name for one in self._session.get_inputs())
        self.outputs = tuple(outputs)

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by their names; of the inputs those count that the graph has."""
        found = self._session.run(None, {name: np.ascontiguousarray(inputs[name]) for name in self.inputs})
        return dict(zip(self.outputs, found, strict=True))
