"""The pipeline "event-extraction": texts in, events with the places of their arguments out."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from hf_ext.data.windows import Window
from hf_ext.tasks.base.linked_span_pipeline import LinkedSpanPipeline
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.events.encoding import decode_events, merge_events, with_trigger
from hf_ext.tasks.events.head import AutoModelForEventExtraction
from hf_ext.tasks.events.labels import split_event_label


class EventExtractionPipeline(LinkedSpanPipeline):
    """Finds events with a model of `AutoModelForEventExtraction` and a fast tokenizer.

    ``pipeline("event-extraction", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    for each text a list of ``{"type", "arguments", "score"}``. Arguments, the trigger among them, are ``{"role",
    "start", "end", "text"}``, ``end`` exclusive. ``score`` is the logistic function of the least score that the event
    rests on. A model that knows triggers gives only events that have one. Long texts are read in overlapping windows,
    and events that agree in what two windows share are put together.

    Args (of the constructor or of a call):
        threshold: keep events whose ``score`` is above this, in [0, 1); default the config's
            ``score_threshold``, which training may choose, or 0.5.
        max_length: tokens of a window, special ones included; default 512, or less if the model or tokenizer takes
            less.
        stride: tokens that two windows share; default 64, or a quarter of a smaller window.
    """

    auto_class = AutoModelForEventExtraction
    found = "events"
    command = "events"
    endings = ("ForEventExtraction",)

    @classmethod
    def labels(cls, config: Any) -> list[str]:
        """The types of events, without roles."""
        types = (split_event_label(label)[0] for label in super().labels(config))
        return list(dict.fromkeys(types))

    def decode(self, table: Tensor, offsets: Sequence[tuple[int, int]], text: str) -> list[dict[str, Any]]:
        """What is in the predictions ``[K, 5]`` for a window."""
        return decode_events(table.tolist(), offsets, self.model.config.id2label, text)

    def merge(self, found: list[list[dict[str, Any]]], windows: list[Window]) -> list[dict[str, Any]]:
        """Events from what is in each window of a text."""
        return with_trigger(merge_events(found, windows), self.model.config.id2label)


register_task("event-extraction", EventExtractionPipeline, AutoModelForEventExtraction)
