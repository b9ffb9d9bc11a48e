"""What the pipelines of relations and events share."""

from math import inf, log
from typing import Any, ClassVar

from torch import Tensor

from hf_ext.data.windows import window_of
from hf_ext.tasks.base.linked_span_head import LinkedSpanHead
from hf_ext.tasks.entities.span_pipeline import SpanExtractionPipeline


class LinkedSpanPipeline(SpanExtractionPipeline):
    """Texts of any length to relations or events; a subclass decodes what the model predicts."""

    head: ClassVar[type[LinkedSpanHead]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.model, self.head):
            raise ValueError(f"model must be one of AutoModel{self.head.suffix}, got {type(self.model).__name__}")

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], threshold: float = 0.5
    ) -> dict[str, Any]:
        inputs = dict(input_tensors)
        rest = {name: inputs.pop(name) for name in ("window", "is_last")}
        above = log(threshold / (1 - threshold)) if threshold else -inf
        predictions = self.model(**inputs, above=above).predictions
        predictions[..., -1].sigmoid_()
        return {"spans": predictions, **rest}

    def postprocess(self, model_outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:  # type: ignore[override]
        """The relations or events of one text from those of its windows."""
        windows = [output["window"] for output in model_outputs]
        tables = [output["spans"][0] for output in model_outputs]
        places = [window_of(window.offsets) for window in windows]
        return self.merge(tables, [window.offsets for window in windows], places, windows[0].text)

    def merge(
        self,
        tables: list[Tensor],
        offsets: list[list[tuple[int, int]]],
        places: list[tuple[int, int]],
        text: str,
    ) -> list[dict[str, Any]]:
        """Relations or events from the tables ``[K, W]`` of a text's windows, their offsets and their bounds."""
        raise NotImplementedError
