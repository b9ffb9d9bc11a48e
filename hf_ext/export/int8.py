"""Graphs whose matrices are int8: a quarter of the size, and faster where the processor multiplies int8."""

import logging
import os
from pathlib import Path

from hf_ext.extras import extra


def quantize(path: Path) -> None:
    """Make the matrices of a graph int8, a scale for each column; what they are multiplied by gets one as it comes.

    Raises:
        MissingExtraError: if onnx or onnxruntime is not installed.
    """
    with extra("onnx", "making a graph int8"):
        from onnxruntime.quantization import QuantType, quantize_dynamic
    draft = path.with_name(f".{path.name}")
    root = logging.getLogger()
    level = root.level
    # It advises what has been done already when the graph was made.
    root.setLevel(logging.ERROR)
    try:
        quantize_dynamic(path, draft, weight_type=QuantType.QInt8, per_channel=True)
    finally:
        root.setLevel(level)
    os.replace(draft, path)
    # What was too large for the file itself.
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)
