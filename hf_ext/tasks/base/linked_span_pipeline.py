"""What the pipelines of relations and events share."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from hf_ext.data.windows import Window
from hf_ext.tasks.base.pipeline_registration import module_imported
from hf_ext.tasks.base.window_pipeline import WindowPipeline, least_score, with_probabilities


class LinkedSpanPipeline(WindowPipeline):
    """Texts of any length to relations or events; a subclass decodes what the model predicts."""

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], threshold: float | None = None
    ) -> dict[str, Any]:
        inputs, rest = self.split(input_tensors)
        outputs = self.model(**inputs, above=least_score(threshold), return_dict=True)
        return {"found": with_probabilities(outputs.predictions), **rest}

    def postprocess(self, model_outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:  # type: ignore[override]
        """The relations or events of one text from those of its windows."""
        windows = [output["window"] for output in model_outputs]
        found = [
            self.decode(output["found"][0], window.offsets, window.text)
            for output, window in zip(model_outputs, windows)
        ]
        return self.merge(found, [window.bounds for window in windows])

    def decode(self, table: Tensor, offsets: Sequence[tuple[int, int]], text: str) -> list[dict[str, Any]]:
        """What is in the predictions ``[K, W]`` for a window."""
        raise NotImplementedError

    def merge(self, found: list[list[dict[str, Any]]], windows: list[Window]) -> list[dict[str, Any]]:
        """Relations or events from what `decode` gives for each window of a text."""
        raise NotImplementedError


module_imported(__name__)
