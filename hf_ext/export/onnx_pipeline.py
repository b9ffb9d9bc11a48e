"""The answers of a pipeline from exported graphs, where PyTorch need not be installed."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from hf_ext.export.answers import Answers
from hf_ext.export.autoencoding_answers import AutoencodingAnswers
from hf_ext.export.cloze_answers import ClozeAnswers
from hf_ext.export.description import OnnxDescription
from hf_ext.export.dialogue_answers import DialogueAnswers
from hf_ext.export.graph_session import GraphSession
from hf_ext.export.image_answers import ImageAnswers
from hf_ext.export.paraphrase_answers import ParaphraseAnswers
from hf_ext.export.reading_answers import ReadingAnswers
from hf_ext.export.row_answers import ChoiceAnswers, ClassAnswers, SimilarityAnswers, VectorAnswers
from hf_ext.export.span_answers import (
    EntityAnswers,
    EventAnswers,
    EventTagAnswers,
    PointedRelationAnswers,
    RelationAnswers,
    TagAnswers,
)
from hf_ext.export.summary_answers import SummaryAnswers

ANSWERS: dict[str, type[Answers]] = {
    "span-extraction": EntityAnswers,
    "sequence-labeling": TagAnswers,
    "relation-extraction": RelationAnswers,
    "half-pointer-relation-extraction": PointedRelationAnswers,
    "event-extraction": EventAnswers,
    "event-tagging": EventTagAnswers,
    "reading-comprehension": ReadingAnswers,
    "multiple-choice": ChoiceAnswers,
    "classification": ClassAnswers,
    "cloze": ClozeAnswers,
    "image-classes": ImageAnswers,
    "summary-generation": SummaryAnswers,
    "dialogue-reply": DialogueAnswers,
    "paraphrase-generation": ParaphraseAnswers,
    "text-autoencoding": AutoencodingAnswers,
    "text-embedding": VectorAnswers,
    "text-similarity": SimilarityAnswers,
}
"""What gives the answers of a pipeline, by its name."""


class OnnxPipeline:
    """What ``hf-ext export onnx`` has written, as a pipeline: the same inputs, the same answers, without PyTorch.

    ``OnnxPipeline(folder)(texts)`` gives what ``pipeline(task, model)(texts)`` does: an answer for one input, a list
    (of vectors an array) for a list or another sequence, an iterator for an iterator. Inputs are texts, or mappings
    with the keys that `reads` names.

    Args:
        folder: of the graphs.
        threads: to run on; None: as many as onnxruntime takes.

    Attributes:
        description: what the folder says of itself.
        tokenizer: of the model; None of one of images.
        config: of the model, as a mapping of its fields.

    Raises:
        MissingExtraError: if onnxruntime is not installed.
        ValueError: if the folder is none of ``hf-ext export onnx``, or lacks a file.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int | None = None) -> None:
        path = Path(folder)
        self.description = OnnxDescription.read(path)
        if self.description.task not in ANSWERS:
            known = ", ".join(ANSWERS)
            raise ValueError(f"folder must be of one of {known}, got {self.description.task} in {path}")
        graphs = {
            name: GraphSession(path / f"{name}.onnx", outputs, threads)
            for name, outputs in self.description.outputs.items()
        }
        # Of any family: fields that the library does not know are kept as they are.
        self.config: Any = PreTrainedConfig.from_dict(PreTrainedConfig.get_config_dict(path)[0])
        self._answers = ANSWERS[self.description.task](path, self.description, self.config, graphs)
        self.tokenizer: Any = self._answers.tokenizer

    @property
    def found(self) -> str:
        """What it finds in a text: ``"entities"``."""
        return self.description.found

    @property
    def reads(self) -> tuple[tuple[str, ...], ...]:
        """The keys of a document, in any of these ways."""
        return tuple(tuple(keys) for keys in self.description.reads)

    @property
    def optional(self) -> tuple[str, ...]:
        """Keys that a document may have beside those."""
        return tuple(self.description.optional)

    @property
    def predict_options(self) -> dict[str, str]:
        """The options of ``hf-ext predict`` that it takes, and its own names of them."""
        return dict(self.description.predict_options)

    def __call__(self, inputs: Any, batch_size: int = 16, **options: Any) -> Any:
        """The answer to one input, or those to several.

        Args:
            inputs: a text, a mapping or an image, or any number of them.
            batch_size: rows run at a time.
            **options: those of the pipeline that stand in ``options`` of the task's answers, such as ``threshold``.

        Raises:
            TypeError: if an input or an option is of another kind.
            ValueError: if one has a value that it must not have.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        for name in options:
            if name not in self._answers.options:
                raise TypeError(f"{self.description.task} takes {', '.join(self._answers.options)}; got {name!r}")
        if isinstance(inputs, (str, Mapping)) or not isinstance(inputs, Iterable):
            return next(self._answers.stream(iter([inputs]), 1, **options))
        found: Iterator[Any] = self._answers.stream(iter(inputs), batch_size, **options)
        return self._answers.joined(list(found)) if isinstance(inputs, Sequence) else found
