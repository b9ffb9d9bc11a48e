"""The pipeline "span-extraction": texts in, character spans with labels and scores out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Any, ClassVar

import torch
from transformers.pipelines.base import ChunkPipeline

from hf_ext.data.span_encoding import decode_spans
from hf_ext.data.windows import merge_spans, window_of
from hf_ext.ops.pointer import top_spans
from hf_ext.tasks.base.auto_class import AutoModelForSpanExtraction
from hf_ext.tasks.base.pipeline_registration import register_task

_WINDOW = 512
_STRIDE = 64


@dataclass(frozen=True)
class _Window:
    """One window of a text, and where its tokens are in the text."""

    text: str
    offsets: list[tuple[int, int]]


class SpanExtractionPipeline(ChunkPipeline):
    """Finds labelled spans, nested ones too, with a model of `AutoModelForSpanExtraction` and a fast tokenizer.

    ``pipeline("span-extraction", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    for each text a list of ``{"start", "end", "label", "score", "text"}`` sorted by place: ``end`` is exclusive,
    offsets point into the text as it was given, and ``score`` is the logistic function of the model's score, above 0.5
    where the model would rather have the span than not. It grows with the model's confidence and is not calibrated.

    A text longer than the window is read in overlapping windows. A window gives at most ``config.span_top_k`` spans.

    Args (of the constructor or of a call):
        threshold: keep spans whose ``score`` is above this, in [0, 1); default 0.5.
        max_length: tokens of a window, special ones included; default 512, or less if the model or tokenizer takes
            less.
        stride: tokens that two windows share, at least the length of the longest span; default 64, or a quarter of a
            smaller window.
    """

    found: ClassVar[str] = "entities"

    # Transformers declares these as None and its tokenizers as the slow ones.
    model: Any
    tokenizer: Any
    default_input_names: Any = "texts"
    _load_processor: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_tokenizer: Any = True
    # The Auto class of the models, and a field that their configs have.
    _wanted = "AutoModelForSpanExtraction", "span_top_k"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = type(self.model).__name__
        wanted, field = self._wanted
        if not hasattr(self.model.config, field):
            raise ValueError(f"model must be one of {wanted}, got {name}")
        if self.tokenizer is None or not self.tokenizer.is_fast:
            raise ValueError(f"tokenizer must be a fast one, which gives offsets, got {type(self.tokenizer).__name__}")

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Spans of one text (a list) or of several (a list of lists, or an iterator over them)."""
        if isinstance(inputs, Sequence) and not isinstance(inputs, str):
            # A column of a dataset is a sequence, and so is an empty list.
            inputs = list(inputs)
            if not inputs:
                return []
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(  # type: ignore[override]
        self, threshold: float | None = None, max_length: int | None = None, stride: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if threshold is not None and not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        windows = {"max_length": max_length, "stride": stride}
        windows = {name: value for name, value in windows.items() if value is not None}
        return windows, {} if threshold is None else {"threshold": threshold}, {}

    def preprocess(  # type: ignore[override]
        self, input_: str, max_length: int | None = None, stride: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The windows of a text, each ``[1, L]``."""
        if not isinstance(input_, str):
            raise TypeError(f"inputs must be texts, got {type(input_).__name__}")
        if max_length is None:
            limits = (self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", None))
            max_length = min(limit for limit in (_WINDOW, *limits) if limit is not None and limit > 0)
        room = max_length - self.tokenizer.num_special_tokens_to_add()
        if stride is None:
            stride = min(_STRIDE, room // 4)
        if not 0 <= stride < room:
            raise ValueError(f"stride must be at least 0 and less than the {room} tokens of a window, got {stride}")
        encoded = self.tokenizer(
            input_,
            truncation=True,
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        all_offsets = encoded["offset_mapping"]
        names = [name for name in self.tokenizer.model_input_names if name in encoded]
        for number, offsets in enumerate(all_offsets):
            rows = {name: encoded[name][number] for name in names}
            if not offsets:
                # A tokenizer without special tokens makes nothing of an empty text, of which a model can make nothing.
                offsets, rows = [(0, 0)], {name: [int(name == "attention_mask")] for name in names}
            yield {
                **{name: torch.tensor([row]) for name, row in rows.items()},
                "window": _Window(input_, [tuple(pair) for pair in offsets]),
                "is_last": number == len(all_offsets) - 1,
            }

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], threshold: float = 0.5
    ) -> dict[str, Any]:
        inputs = dict(input_tensors)
        rest = {name: inputs.pop(name) for name in ("window", "is_last")}
        if threshold < 0.5:
            scores = self.model(**inputs, output_logits=True).logits
            spans = top_spans(scores, self.model.config.span_top_k, above=_logit(threshold))
        else:
            spans = self.model(**inputs).spans
            spans[..., 0].masked_fill_(spans[..., 3] <= _logit(threshold), -1.0)
        if "attention_mask" in inputs:
            # Positions count from the first real token, wherever the batch is padded.
            spans[..., 1:3] -= inputs["attention_mask"].argmax(-1)[:, None, None]
        return {"spans": spans, **rest}

    def postprocess(self, model_outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:  # type: ignore[override]
        """The spans of one text from those of its windows."""
        found, places = [], []
        for output in model_outputs:
            window, spans = output["window"], output["spans"][0]
            spans = spans[spans[:, 0] >= 0]
            spans[:, 3].sigmoid_()
            found.append(decode_spans(spans.tolist(), window.offsets, self.model.config.id2label, window.text))
            places.append(window_of(window.offsets))
        return merge_spans(found, places)


def _logit(probability: float) -> float:
    return -inf if probability == 0 else log(probability / (1 - probability))


register_task("span-extraction", SpanExtractionPipeline, AutoModelForSpanExtraction)
