"""The pipeline "sequence-labeling": texts in, character spans with labels and confidences out."""

from typing import Any

from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.tag_pipeline import TagPipeline
from hf_ext.tasks.entities.tag_head import AutoModelForSequenceLabeling


class SequenceLabelingPipeline(TagPipeline):
    """Finds entities with a model of `AutoModelForSequenceLabeling` and a fast tokenizer.

    ``pipeline("sequence-labeling", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    for each text a list of ``{"start", "end", "label", "score", "text"}`` sorted by place, as "span-extraction" does.
    ``score`` is the least probability, given the text, that one of the entity's tokens has its tag, over all sequences
    of tags.

    Args (of the constructor or of a call):
        threshold: keep entities whose ``score`` is above this, in [0, 1); default 0.
        n_best: instead of the entities, give this many readings of a text, best first: ``{"score", "entities"}``, the
            score being the probability of the whole sequence of tags. The text must fit one window.
        max_length: tokens of a window, special ones included; default 512, or less if the model or tokenizer takes
            less.
        stride: tokens that two windows share, at least the length of the longest entity; default 64, or a quarter of a
            smaller window.
    """

    auto_class = AutoModelForSequenceLabeling
    found = "entities"
    command = "ner"
    endings = ("ForSequenceLabeling",)

    def _sanitize_parameters(  # type: ignore[override]
        self, n_best: int | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if n_best is not None and n_best < 1:
            raise ValueError(f"n_best must be at least 1, got {n_best}")
        windows, _, threshold = super()._sanitize_parameters(**kwargs)
        if n_best is None:
            return windows, {}, threshold
        return windows, {"n_best": n_best}, {**threshold, "n_best": n_best}

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], n_best: int | None = None
    ) -> dict[str, Any]:
        if n_best is None:
            return super()._forward(input_tensors)
        emissions, mask, rest = self.emissions(input_tensors)
        tags, logs = self.model.classifier.chain.nbest(emissions, n_best, mask)
        return {"tags": tags, "scores": self.chances(emissions, mask, tags), "chances": logs.exp(), **rest}

    def postprocess(  # type: ignore[override]
        self, model_outputs: list[dict[str, Any]], threshold: float = 0.0, n_best: int | None = None
    ) -> list[dict[str, Any]]:
        """The entities, or the readings, of one text from those of its windows."""
        if n_best is None:
            return self.spans_of_text(model_outputs, threshold)
        if len(model_outputs) > 1:
            raise ValueError(f"n_best needs a text that fits one window, got one of {len(model_outputs)} windows")
        output = model_outputs[0]
        return [
            {"score": chance, "entities": self.spans(output, number, threshold)}
            for number, chance in enumerate(output["chances"][0].tolist())
            if chance > 0
        ]


register_task("sequence-labeling", SequenceLabelingPipeline, AutoModelForSequenceLabeling)
