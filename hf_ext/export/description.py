"""``onnx.json``: what the graphs of a folder are for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hf_ext.version import __version__

FILE_NAME = "onnx.json"


@dataclass(frozen=True)
class OnnxDescription:
    """What an exported folder says of itself.

    Attributes:
        task: the name of the pipeline whose answers it gives.
        found: what that finds, as of `TaskPipeline`.
        reads: the keys of a document, in any of these ways.
        optional: keys that a document may have beside those.
        predict_options: options of ``hf-ext predict``, and the pipeline's own names of them.
        max_length: tokens of a text, or of a window of one, where nobody asks for more or less; None: it reads none.
        longest: tokens beyond which the model has no positions; None: there is no end.
        inputs: of each graph, by its name.
        outputs: of each graph, by its name.
        largest_difference: between the graphs and PyTorch, as it was checked.
        int8: whether the matrices are in int8.
        settings: what else the task's answers depend on.
        version: of the package.
    """

    task: str
    found: str
    reads: Sequence[Sequence[str]]
    optional: Sequence[str]
    predict_options: Mapping[str, str]
    max_length: int | None
    longest: int | None
    inputs: Mapping[str, Sequence[str]]
    outputs: Mapping[str, Sequence[str]]
    largest_difference: float
    int8: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    @classmethod
    def read(cls, folder: Path) -> "OnnxDescription":
        """Read that of a folder.

        Raises:
            ValueError: if there is none, or it cannot be read.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise ValueError(f"folder must be written by hf-ext export onnx, got {folder} without {FILE_NAME}")
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} must be as hf-ext export onnx writes it: {error}") from error

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")
