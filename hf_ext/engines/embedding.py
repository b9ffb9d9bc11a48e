"""What `hf-ext embed` makes of a file, as work in parts."""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from hf_ext.atomic_file import atomic_write
from hf_ext.data.model_name import check_model_name
from hf_ext.data.text_lines import texts_of
from hf_ext.engines.digests import model_digest
from hf_ext.engines.file_work import PartFunction, absolute
from hf_ext.tasks.similarity.pipeline import SORTED_TEXTS
from hf_ext.tasks.similarity.vector_file import vector_line, write_npy
from hf_ext.training.quiet import quiet_libraries


@dataclass
class Embedding:
    """Vectors of the texts of a file.

    A part is as many texts as the pipeline sorts together, so that vectors are those of one process.

    Attributes:
        model: a folder or a name on the Hub, there on every machine.
        file: a text a line, JSON lines with a text each, or a JSON array of them.
        lines: make JSON lines of texts and vectors; else an array.
        device: of each worker, such as ``"cpu"``; None: a GPU if it has one.
        dtype: of the numbers to run in.
        options: of the pipeline's call; a whitening by its folder.
    """

    model: str
    file: Path
    lines: bool = False
    device: str | None = None
    dtype: str = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_model_name(self.model)
        self.model, self.file = absolute(self.model), Path(self.file).absolute()
        if whitening := self.options.get("whitening"):
            self.options = {**self.options, "whitening": absolute(whitening)}

    @property
    def part_size(self) -> int:
        """Texts of a part."""
        return SORTED_TEXTS

    def documents(self) -> Iterator[str]:
        """The texts of the file."""
        return texts_of(self.file)

    def open(self) -> PartFunction:
        """Load the model; give what makes the vectors of a part, as lines or as an array ``[n, H]``."""
        from transformers import pipeline

        # The library's types list its own tasks only.
        make_pipeline: Any = pipeline
        with quiet_libraries():
            extract = make_pipeline("text-embedding", model=self.model, device=self.device).run_in(self.dtype)

        def content(number: int, texts: list[str]) -> bytes:
            vectors = extract(texts, **self.options)
            if self.lines:
                return "".join(map(vector_line, texts, vectors)).encode()
            array = io.BytesIO()
            np.save(array, vectors)
            return array.getvalue()

        return content

    def write(self, output: Path, contents: Iterable[bytes]) -> None:
        """Write the lines, or the array ``[N, H]``, of all parts."""
        if self.lines:
            with atomic_write(output, "wb") as file:
                file.writelines(contents)
            return
        arrays = (np.load(io.BytesIO(content)) for content in contents)
        first = next(arrays)
        write_npy(output, chain([first], arrays), first.shape[1])

    def settings(self) -> dict[str, Any]:
        """What the vectors come from beside the file."""
        whitening = self.options.get("whitening")
        return {
            "model": model_digest(self.model),
            "whitening": whitening and model_digest(whitening),
            "output": "lines" if self.lines else "array",
            "device": self.device,
            "dtype": self.dtype,
            "options": {name: value for name, value in self.options.items() if name != "whitening"},
        }
