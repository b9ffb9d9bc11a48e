"""What the pipelines of long texts share: overlapping windows, each run through the model, and what comes of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.pipelines.base import ChunkPipeline

from hf_ext.data.input_limit import check_input_length, input_limit
from hf_ext.data.windows import TextWindow, check_gives_offsets
from hf_ext.ops.logit import logit
from hf_ext.tasks.base.call_options import check_threshold
from hf_ext.tasks.base.pipeline_registration import module_imported
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.base.window_encoding import SORTED_BATCHES, WindowEncoding


class WindowPipeline(WindowEncoding, TextPipeline, ChunkPipeline):
    """Texts of any length, read in overlapping windows; a subclass runs the model and puts together what it finds.

    A subclass may have other options and windows of its own, by `_sanitize_parameters` and `encode`.
    """

    auto_class: ClassVar[Any]
    """The Auto class of the models."""

    predict_options: ClassVar[Mapping[str, str]] = {"threshold": "threshold", "stride": "stride"}

    default_input_names: Any = "texts"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By name, not by class: a model may be wrapped, as PEFT does, or come with a copy of our code.
        if getattr(self.model, "suffix", None) != self.auto_class.head.suffix:
            raise ValueError(f"model must be one of {self.auto_class.__name__}, got {type(self.model).__name__}")
        check_gives_offsets(self.tokenizer)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """What is in one text, or in each of several: a list, or an iterator."""
        if isinstance(inputs, Sequence) and not isinstance(inputs, str):
            # A column of a dataset is a sequence, and so is an empty list.
            inputs = list(inputs)
            if not inputs:
                return []
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(  # type: ignore[override]
        self, threshold: float | None = None, max_length: int | None = None, stride: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        check_threshold(threshold)
        windows = {"max_length": max_length, "stride": stride}
        windows = {name: value for name, value in windows.items() if value is not None}
        return windows, {} if threshold is None else {"threshold": threshold}, {}

    @property
    def encoder(self) -> Any:
        """What is below the head: of the vectors that it makes, scores are computed in float32."""
        return self.model.base_model

    def get_iterator(
        self,
        inputs: Any,
        num_workers: int,
        batch_size: int,
        preprocess_params: dict[str, Any],
        forward_params: dict[str, Any],
        postprocess_params: dict[str, Any],
    ) -> Iterator[Any]:
        """What is in each of several texts, in their order.

        Texts are tokenized together, and windows of like length run together, of which few tokens are padding. Of a
        generator as many texts are taken at a time as fill some batches; one by one, if a batch has one.

        Args:
            inputs: the texts.
            num_workers: has no effect, as with other pipelines of windows.
            batch_size: windows run at a time.
            preprocess_params: options of `encode`.
            forward_params: options of ``_forward``.
            postprocess_params: options of ``postprocess``.
        """
        iterator = iter(inputs)
        # It takes a list, where Transformers' types have one output.
        finish: Any = self.postprocess
        while texts := list(islice(iterator, batch_size * SORTED_BATCHES if batch_size > 1 else 1)):
            documents = self.windows(texts, **preprocess_params)
            rows = [row for windows in documents for row in windows]
            order = sorted(range(len(rows)), key=lambda number: rows[number]["input_ids"].shape[1], reverse=True)
            outputs: dict[int, dict[str, Any]] = {}
            for first in range(0, len(order), batch_size):
                chosen = order[first : first + batch_size]
                made = self.forward(self._batch([rows[number] for number in chosen]), **forward_params)
                for place, number in enumerate(chosen):
                    outputs[number] = {
                        name: value[place : place + 1] if isinstance(value, Tensor) else value[place]
                        for name, value in made.items()
                    }
            numbers = iter(range(len(rows)))
            for windows in documents:
                own = [outputs.pop(number) for number in islice(numbers, len(windows))]
                yield finish(own, **postprocess_params)

    def _batch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Rows ``[1, L]`` padded on the right to ``[B, L]``, and a list of each thing that is no tensor."""
        tokenizer = self.tokenizer
        if len(rows) > 1 and tokenizer.pad_token_id is None:
            raise ValueError(f"tokenizer must have a padding token, got {type(tokenizer).__name__} without one")
        padding = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
        batch: dict[str, Any] = {}
        for name, value in rows[0].items():
            batch[name] = [row[name] for row in rows]
            if isinstance(value, Tensor):
                flat = [part.squeeze(0) for part in batch[name]]
                batch[name] = pad_sequence(flat, batch_first=True, padding_value=padding.get(name, 0))
        return batch

    def preprocess(self, input_: Any, **options: Any) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """The windows of a text, each ``[1, L]``."""
        yield from self.windows([input_], **options)[0]

    def windows(self, inputs: Sequence[Any], **options: Any) -> list[list[dict[str, Any]]]:
        """The windows of each of several texts, each ``[1, L]``."""
        texts, rows = self.encode(inputs, **options)
        names = [name for name in (*self.tokenizer.model_input_names, "context_mask") if name in rows]
        documents: list[list[dict[str, Any]]] = [[] for _ in texts]
        for number, (owner, offsets) in enumerate(zip(rows["example_id"], rows["offset_mapping"])):
            row = {name: rows[name][number] for name in names}
            if not offsets:
                # A tokenizer without special tokens makes nothing of an empty text, of which a model can make nothing.
                offsets, row = [(0, 0)], {name: [int(name == "attention_mask")] for name in names}
            documents[owner].append(
                {
                    **{name: torch.tensor([values]) for name, values in row.items()},
                    "window": TextWindow(texts[owner], [tuple(pair) for pair in offsets]),
                    "is_last": False,
                }
            )
        for windows in documents:
            windows[-1]["is_last"] = True
        return documents

    def window_length(self, asked: int | None, name: str = "max_length") -> int:
        """As of `WindowEncoding`."""
        if asked is None:
            return input_limit(self.tokenizer, self.model.config)
        check_input_length(asked, self.model.config, name)
        return asked

    def split(self, input_tensors: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Model inputs ``[B, L]`` of a batch of windows, and what else belongs to the windows."""
        inputs = dict(input_tensors)
        return inputs, {name: inputs.pop(name) for name in ("window", "is_last")}


def least_score(threshold: float | None) -> float | None:
    """The model's own score of a probability; None: that of the model's threshold."""
    return None if threshold is None else logit(threshold)


def with_probabilities(table: Tensor) -> Tensor:
    """Predictions ``[B, K, W]``, whose last column is a score, with the logistic function of it."""
    return torch.cat((table[..., :-1], table[..., -1:].sigmoid()), dim=-1)


module_imported(__name__)
