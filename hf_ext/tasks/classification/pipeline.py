"""The pipeline "classification": texts or pairs of texts in, their classes out, one each or any number."""

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers.pipelines.text_classification import TextClassificationPipeline

from hf_ext.tasks.base.call_options import check_threshold
from hf_ext.tasks.base.linear_head import LinearHead
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.classification.either_model import EitherModelForSequenceClassification
from hf_ext.tasks.classification.head import AutoModelForLinearClassification


class ClassificationPipeline(TextPipeline, TextClassificationPipeline):
    """Finds the classes of texts with a model of `AutoModelForSequenceClassification` or of our linear head.

    ``pipeline("classification", model=folder)`` takes a text, a pair of texts ``{"text", "text2"}``, a list of either,
    a dataset or a generator, and gives for each a list of ``{"label", "score"}``, the most probable first: of a model
    of one class a text that class alone, of a model of any number of classes all whose ``score`` is above
    ``config.score_threshold``, which training may choose, or 0.5. A text
    longer than the tokenizer's ``model_max_length``, which the job saves, is cut off, as in training.

    Args (of the constructor or of a call):
        threshold: give instead all classes whose ``score`` is above this, in [0, 1).
    """

    found: ClassVar[str] = "classes"
    command: ClassVar[str | None] = "classification"
    endings: ClassVar[tuple[str, ...]] = EitherModelForSequenceClassification.suffixes
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "text2"), ("text",))
    predict_options: ClassVar[Mapping[str, str]] = {"threshold": "threshold"}

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The classes of one text or pair, or a list of them for each of several."""
        return super().__call__(inputs, *args, **kwargs, top_k=None)

    def check_model_type(self, supported_models: Any) -> None:
        """As Transformers', which says of what is no class of its own that it is not supported."""
        if not isinstance(self.model, LinearHead):
            super().check_model_type(supported_models)

    def _sanitize_parameters(  # type: ignore[override]
        self, threshold: float | None = None, top_k: None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        check_threshold(threshold)
        preprocess, forward, postprocess = super()._sanitize_parameters(top_k=None, **kwargs)
        if threshold is not None:
            postprocess["threshold"] = threshold
        return {"truncation": True, **preprocess}, forward, postprocess

    def preprocess(self, inputs: Any, **options: Any) -> Any:  # type: ignore[override]
        """Model inputs of a text or of a pair."""
        if isinstance(inputs, Mapping):
            names = {"text": "text", "text2": "text_pair"}
            inputs = {names.get(name, name): text for name, text in inputs.items()}
        return super().preprocess(inputs, **options)

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, threshold: float | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """The classes from the model's outputs."""
        classes = super().postprocess(model_outputs, **options)
        if any(one["score"] != one["score"] for one in classes):
            raise ValueError("scores of classes must be numbers, got NaN; with dtype float16, try another")
        config: Any = self.model.config
        if threshold is None and config.problem_type != "multi_label_classification":
            return classes[:1]
        least = getattr(config, "score_threshold", 0.5) if threshold is None else threshold
        return [one for one in classes if one["score"] > least]


register_task(
    "classification", ClassificationPipeline, EitherModelForSequenceClassification, AutoModelForLinearClassification
)
