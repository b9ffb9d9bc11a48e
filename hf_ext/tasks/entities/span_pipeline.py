"""The pipeline "span-extraction": texts in, character spans with labels and scores out."""

from typing import Any

from hf_ext.data.span_encoding import decode_spans
from hf_ext.data.windows import merge_spans
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.window_pipeline import WindowPipeline, least_score, with_probabilities
from hf_ext.tasks.entities.span_head import AutoModelForSpanExtraction


class SpanExtractionPipeline(WindowPipeline):
    """Finds labelled spans, nested ones too, with a model of `AutoModelForSpanExtraction` and a fast tokenizer.

    ``pipeline("span-extraction", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    for each text a list of ``{"start", "end", "label", "score", "text"}`` sorted by place: ``end`` is exclusive,
    offsets point into the text as it was given, and ``score`` is the logistic function of the model's score, above 0.5
    where the model would rather have the span than not. It grows with the model's confidence and is not calibrated.

    A text longer than the window is read in overlapping windows. A window gives at most ``config.span_top_k`` spans.

    Args (of the constructor or of a call):
        threshold: keep spans whose ``score`` is above this, in [0, 1); default the config's
            ``score_threshold``, which training may choose, or 0.5.
        max_length: tokens of a window, special ones included; default 512, or less if the model or tokenizer takes
            less.
        stride: tokens that two windows share, at least the length of the longest span; default 64, or a quarter of a
            smaller window.
    """

    auto_class = AutoModelForSpanExtraction
    found = "entities"
    command = "ner"
    endings = ("ForSpanExtraction",)

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], threshold: float | None = None
    ) -> dict[str, Any]:
        inputs, rest = self.split(input_tensors)
        outputs = self.model(**inputs, above=least_score(threshold), return_dict=True)
        return {"spans": with_probabilities(outputs.spans), **rest}

    def postprocess(self, model_outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:  # type: ignore[override]
        """The spans of one text from those of its windows."""
        windows = [output["window"] for output in model_outputs]
        names = self.model.config.id2label
        found = [
            decode_spans(output["spans"][0].tolist(), window.offsets, names, window.text)
            for output, window in zip(model_outputs, windows)
        ]
        return merge_spans(found, [window.bounds for window in windows])


register_task("span-extraction", SpanExtractionPipeline, AutoModelForSpanExtraction)
