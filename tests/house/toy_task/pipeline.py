"""The pipeline "toy": texts in, verdicts out."""

from typing import Any, ClassVar

from hf_ext.tasks.toy.head import AutoModelForVerdict

from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline


class VerdictPipeline(TextPipeline):
    """Finds whether texts say something good: ``{"good", "score"}`` of each."""

    found: ClassVar[str] = "verdict"
    command: ClassVar[str | None] = "toy"
    endings: ClassVar[tuple[str, ...]] = ("ForVerdict",)

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return kwargs, {}, {}

    def preprocess(self, text: str) -> Any:  # type: ignore[override]
        """Model inputs of a text."""
        return self.tokenizer(text, truncation=True, return_tensors="pt")

    def _forward(self, inputs: Any) -> Any:  # type: ignore[override]
        return self.model(**inputs).logits

    def postprocess(self, logits: Any) -> dict[str, Any]:  # type: ignore[override]
        """The verdict of the model's score."""
        score = logits.sigmoid().item()
        return {"good": score > 0.5, "score": score}


register_task("toy", VerdictPipeline, AutoModelForVerdict)
