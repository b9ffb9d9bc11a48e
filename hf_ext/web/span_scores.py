"""What a head with pointers thinks of each span of a text: the scores before anything is decided."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hf_ext.modules.evaluation_mode import evaluation_mode


@dataclass(frozen=True)
class SpanScores:
    """Scores of the spans of a text.

    Attributes:
        offsets: the ``L`` tokens that have characters: the first of these, and the one after the last.
        scores: ``[C, L, L]`` (label, first token, last token), float32, -inf where no span may stand.
        is_cut: whether the text is longer than a window of the model, of which these are the first.
    """

    offsets: list[tuple[int, int]]
    scores: Tensor
    is_cut: bool


def span_labels(pipeline: Any) -> list[str] | None:
    """The labels of the spans that a model scores; None of a model that scores no spans of pairs of tokens."""
    labels = pipeline.model.config.id2label or {}
    names = [str(labels[number]) for number in sorted(labels)]
    return {
        "ForSpanExtraction": names,
        "ForEventExtraction": names,
        "ForRelationExtraction": ["subject", "object"],
    }.get(getattr(pipeline.model, "suffix", ""))


def span_scores(pipeline: Any, text: str) -> SpanScores:
    """The scores of all spans of a text, or of what a window has of it.

    Args:
        pipeline: a pipeline of windows whose model has `span_labels`.
        text: the text.
    """
    windows = pipeline.windows([text])[0]
    inputs, rest = pipeline.split(windows[0])
    inputs = pipeline.ensure_tensor_on_device(**inputs)
    with torch.inference_mode(), evaluation_mode(pipeline.model):
        logits = pipeline.model(**inputs, output_logits=True, return_dict=True).logits
    table = (logits[0] if isinstance(logits, tuple) else logits)[0].float().cpu()
    offsets = rest["window"].offsets
    # [CLS] and its like are tokens to the model, but have no characters.
    real = [number for number, (start, end) in enumerate(offsets) if end > start]
    return SpanScores([offsets[number] for number in real], table[:, real][:, :, real], len(windows) > 1)
