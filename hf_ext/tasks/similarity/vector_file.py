"""Files of vectors, written as the vectors come, whole or not at all."""

import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_ext.atomic_file import atomic_write


def write_npy(path: str | os.PathLike[str], parts: Iterable[NDArray[np.float32]], width: int) -> int:
    """Write an array whose number of rows is known at the end only, as ``numpy.load`` reads it.

    Args:
        path: the file to write.
        parts: arrays ``[n, width]``, written one after the other.
        width: number of columns.

    Returns:
        The number of rows.

    Raises:
        ValueError: if a part has another shape.
    """
    rows = 0
    with atomic_write(path, "wb") as file:
        _write_header(file, rows, width)
        start = file.tell()
        for part in parts:
            if part.ndim != 2 or part.shape[1] != width:
                raise ValueError(f"parts must have shape [n, {width}], got {list(part.shape)}")
            file.write(np.ascontiguousarray(part, dtype="<f4").tobytes())
            rows += len(part)
        # The format leaves room in the header for any number of rows.
        file.seek(0)
        _write_header(file, rows, width)
        assert file.tell() == start
    return rows


def write_jsonl(path: str | os.PathLike[str], pairs: Iterable[tuple[str, NDArray[np.float32]]]) -> int:
    """Write lines ``{"text", "embedding"}``, each number in as few digits as give the same float32.

    Args:
        path: the file to write.
        pairs: texts with their vectors ``[H]``.

    Returns:
        The number of lines.
    """
    lines = 0
    with atomic_write(path) as file:
        for text, vector in pairs:
            numbers = [float(str(number)) for number in vector]
            file.write(json.dumps({"text": text, "embedding": numbers}, ensure_ascii=False) + "\n")
            lines += 1
    return lines


def _write_header(file: Any, rows: int, width: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(file, header)
