"""What `hf-ext predict` finds in a file, as work in parts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.data.documents import pipeline_input, read_documents, with_found
from hf_ext.engines.digests import model_digest
from hf_ext.engines.file_work import PartFunction, absolute
from hf_ext.tasks.base.saved_model import SavedModel
from hf_ext.tasks.base.window_encoding import SORTED_BATCHES


@dataclass
class Prediction:
    """What a model was trained to find in the documents of a file, as lines of JSON.

    A part is as many documents as a pipeline of windows sorts together, so that the same texts are run beside each
    other as in one process, and numbers do not differ by rounding.

    Attributes:
        model: a folder or a name on the Hub, there on every machine.
        file: the documents, as `hf_ext.data.documents.read_documents` reads them.
        task: the command that trains such models; None: what the model says.
        device: of each worker, such as ``"cpu"``; None: a GPU if it has one.
        dtype: of the numbers to run in, as of `SavedModel.open`.
        batch_size: texts run at a time.
        seed: of what is drawn, a sequence of its own for each part; None: any.
        options: of the pipeline's call.
    """

    model: str
    file: Path
    task: str | None = None
    device: str | None = None
    dtype: str = "auto"
    batch_size: int = 16
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if ("image",) in self._kind().reads:
            raise ValueError(f"work in parts is of texts, and the model in {self.model} reads images")
        self.model, self.file = absolute(self.model), Path(self.file).absolute()

    @property
    def part_size(self) -> int:
        """Documents of a part."""
        return self.batch_size * SORTED_BATCHES

    def documents(self) -> Iterator[dict[str, Any]]:
        """The documents of the file.

        Raises:
            ValueError: if one is not of the pipeline's, or belongs to a group, whose questions are answered together.
        """
        kind = self._kind()
        for document in read_documents(self.file, False, kind.reads, kind.optional):
            if "group" in document:
                raise ValueError(
                    f"work in parts answers each question alone, got one of group {document['group']!r} in {self.file}"
                )
            yield document

    def open(self) -> PartFunction:
        """Load the model; give what makes the lines of a part."""
        from transformers import set_seed

        extract = SavedModel.read(self.model).open(self.task, self.device, self.dtype)

        def lines(number: int, documents: list[dict[str, Any]]) -> bytes:
            if self.seed is not None:
                set_seed(self.seed + number)
            inputs = (pipeline_input(one) for one in documents)
            answers = extract(inputs, batch_size=self.batch_size, **self.options)
            found = (with_found(one, extract.found, answer) for answer, one in zip(answers, documents, strict=True))
            return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found).encode()

        return lines

    def write(self, output: Path, contents: Iterable[bytes]) -> None:
        """Write the lines of all parts."""
        with atomic_write(output, "wb") as file:
            file.writelines(contents)

    def settings(self) -> dict[str, Any]:
        """What the lines come from beside the file."""
        saved = SavedModel.read(self.model)
        base = saved.config.name_or_path if saved.is_adapter else None
        return {
            "model": [model_digest(one) for one in (self.model, base) if one],
            "task": saved.predictor(self.task)[0],
            "device": self.device,
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "options": dict(self.options),
        }

    def _kind(self) -> Any:
        return SavedModel.read(self.model).predictor(self.task)[1]
