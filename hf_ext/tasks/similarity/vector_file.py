"""Files of vectors, written as the vectors come, whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_ext.atomic_file import atomic_write, is_stream
from hf_ext.tasks.base.parts_folder import parts_folder


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


def vector_line(text: str, vector: NDArray[np.float32]) -> str:
    """A line ``{"text", "embedding"}`` with its end, each number in as few digits as give the same float32."""
    numbers = [float(str(number)) for number in vector]
    return json.dumps({"text": text, "embedding": numbers}, ensure_ascii=False) + "\n"


def write_jsonl(path: str | os.PathLike[str], pairs: Iterable[tuple[str, NDArray[np.float32]]]) -> int:
    """Write the lines of texts and their vectors.

    Args:
        path: the file to write.
        pairs: texts with their vectors ``[H]``.

    Returns:
        The number of lines.
    """
    lines = 0
    with atomic_write(path) as file:
        for text, vector in pairs:
            file.write(vector_line(text, vector))
            lines += 1
    return lines


class VectorParts:
    """Vectors of parts of the texts, kept in a hidden folder beside the file that will hold all of them.

    A part is named by what its vectors come from, so that a run that was cut off goes on where it was, and a part of
    other texts or settings is never taken. Of a pipe or a device, which has no place beside it, no parts are kept.

    Args:
        path: the file of all vectors.
        fingerprint: of the model and the settings.
        resume: take the parts that are there; else they are made and written anew.

    Raises:
        ValueError: if there can be no parts to resume from.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str, resume: bool) -> None:
        self.folder = parts_folder(path)
        self.keeps = not is_stream(path)
        if resume and not self.keeps:
            raise ValueError(f"resume needs a file to write, beside which parts are kept, got {os.fspath(path)}")
        self.fingerprint = fingerprint
        self.resume = resume

    def get(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """The vectors ``[n, H]`` of texts, if their part is there."""
        file = self._file(texts)
        return np.load(file) if self.resume and file.is_file() else None

    def put(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write a part."""
        if not self.keeps:
            return
        self.folder.mkdir(exist_ok=True)
        with atomic_write(self._file(texts), "wb") as file:
            np.save(file, vectors)

    def remove(self) -> None:
        """Remove all parts, once the file of all vectors is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, texts: Sequence[str]) -> Path:
        content = json.dumps([self.fingerprint, *texts]).encode()
        return self.folder / f"{hashlib.sha256(content).hexdigest()}.npy"


def _write_header(file: Any, rows: int, width: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(file, header)
