"""The pipeline "sequence-labeling": texts in, character spans with labels and confidences out."""

from typing import Any

from hf_ext.data.span_encoding import decode_spans
from hf_ext.data.windows import merge_spans
from hf_ext.ops.tag_rules import split_tag
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.window_pipeline import WindowPipeline
from hf_ext.tasks.entities.tag_encoding import tags_to_predictions
from hf_ext.tasks.entities.tag_head import AutoModelForSequenceLabeling


class SequenceLabelingPipeline(WindowPipeline):
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

    @classmethod
    def labels(cls, config: Any) -> list[str]:
        """The labels of entities, without what tags add to them."""
        tags = super().labels(config)
        return list(dict.fromkeys(split_tag(tag)[1] for tag in tags if tag != "O"))

    def _sanitize_parameters(  # type: ignore[override]
        self, n_best: int | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if n_best is not None and n_best < 1:
            raise ValueError(f"n_best must be at least 1, got {n_best}")
        windows, forward, _ = super()._sanitize_parameters(**kwargs)
        if n_best is None:
            return windows, {}, forward
        return windows, {"n_best": n_best}, {**forward, "n_best": n_best}

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], n_best: int | None = None
    ) -> dict[str, Any]:
        inputs, rest = self.split(input_tensors)
        emissions = self.model(**inputs, output_logits=True, return_dict=True).logits
        mask = self.model.tagged(emissions, inputs.get("input_ids"), inputs.get("attention_mask"))
        chain = self.model.classifier.chain
        chances = chain.marginals(emissions, mask).tags
        if n_best is None:
            tags, logs = chain.decode(emissions, mask)[0].unsqueeze(1), emissions.new_zeros(len(emissions), 1)
        else:
            tags, logs = chain.nbest(emissions, n_best, mask)
        scores = chances.unsqueeze(1).expand(-1, tags.shape[1], -1, -1)
        scores = scores.gather(3, tags.clamp_min(0).unsqueeze(3)).squeeze(3)
        return {"tags": tags, "scores": scores, "chances": logs.exp(), **rest}

    def postprocess(  # type: ignore[override]
        self, model_outputs: list[dict[str, Any]], threshold: float = 0.0, n_best: int | None = None
    ) -> list[dict[str, Any]]:
        """The entities, or the readings, of one text from those of its windows."""
        if n_best is not None:
            if len(model_outputs) > 1:
                raise ValueError(f"n_best needs a text that fits one window, got one of {len(model_outputs)} windows")
            output = model_outputs[0]
            return [
                {"score": chance, "entities": self._entities(output, number, threshold)}
                for number, chance in enumerate(output["chances"][0].tolist())
                if chance > 0
            ]
        found = [self._entities(output, 0, threshold) for output in model_outputs]
        return merge_spans(found, [output["window"].bounds for output in model_outputs])

    def _entities(self, output: dict[str, Any], number: int, threshold: float) -> list[dict[str, Any]]:
        window = output["window"]
        # No offset stands for padding.
        tags, scores = (output[name][0, number, : len(window.offsets)].tolist() for name in ("tags", "scores"))
        names: dict[int, str] = self.model.config.id2label
        labels = sorted({split_tag(tag)[1] for tag in names.values()} - {""})
        spans = tags_to_predictions(tags, names, {label: place for place, label in enumerate(labels)}, scores)
        decoded = decode_spans(spans, window.offsets, dict(enumerate(labels)), window.text)
        return [span for span in decoded if span["score"] > threshold]


register_task("sequence-labeling", SequenceLabelingPipeline, AutoModelForSequenceLabeling)
