"""What the pipelines of heads with tags share: from windows of a text to spans with labels and confidences."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hf_ext.data.tag_encoding import spans_of_tags
from hf_ext.data.windows import merge_spans
from hf_ext.ops.tag_rules import split_tag
from hf_ext.tasks.base.pipeline_registration import module_imported
from hf_ext.tasks.base.window_pipeline import WindowPipeline


class TagPipeline(WindowPipeline):
    """Texts of any length to spans by their tags; a subclass says what becomes of the spans."""

    @classmethod
    def labels(cls, config: Any) -> list[str]:
        """The labels of spans, without what tags add to them."""
        tags = super().labels(config)
        return list(dict.fromkeys(split_tag(tag)[1] for tag in tags if tag != "O"))

    def _sanitize_parameters(  # type: ignore[override]
        self, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        # All is found, whatever its score is.
        windows, threshold, _ = super()._sanitize_parameters(**kwargs)
        return windows, {}, threshold

    def _forward(self, input_tensors: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        emissions, mask, rest = self.emissions(input_tensors)
        tags = self.model.classifier.chain.decode(emissions, mask)[0].unsqueeze(1)
        return {"tags": tags, "scores": self.chances(emissions, mask, tags), **rest}

    def emissions(self, input_tensors: Mapping[str, Any]) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Emissions ``[B, L, K]`` of windows, which of their tokens get a tag, and what else belongs to the windows."""
        inputs, rest = self.split(input_tensors)
        emissions = self.model(**inputs, output_logits=True, return_dict=True).logits
        mask = self.model.tagged(emissions, inputs.get("input_ids"), inputs.get("attention_mask"))
        return self.model.limited(emissions, mask), mask, rest

    def chances(self, emissions: Tensor, mask: Tensor, tags: Tensor) -> Tensor:
        """The probability of each tag of sequences ``[B, N, L]``, over all sequences of tags."""
        marginals = self.model.classifier.chain.marginals(emissions, mask).tags
        scores = marginals.unsqueeze(1).expand(-1, tags.shape[1], -1, -1)
        return scores.gather(3, tags.clamp_min(0).unsqueeze(3)).squeeze(3)

    def spans_of_text(self, model_outputs: list[dict[str, Any]], threshold: float) -> list[dict[str, Any]]:
        """The spans of one text from those of its windows, sorted by place."""
        found = [self.spans(output, 0, threshold) for output in model_outputs]
        return merge_spans(found, [output["window"].bounds for output in model_outputs])

    def spans(self, output: dict[str, Any], number: int, threshold: float) -> list[dict[str, Any]]:
        """The spans of a window in the sequence of tags with that number."""
        window = output["window"]
        # No offset stands for padding.
        tags, scores = (output[name][0, number, : len(window.offsets)].tolist() for name in ("tags", "scores"))
        return spans_of_tags(tags, scores, window.offsets, window.text, self.model.config.id2label, threshold)


module_imported(__name__)
