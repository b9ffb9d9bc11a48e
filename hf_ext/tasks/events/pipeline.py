"""The pipeline "event-extraction": texts in, events with the places of their arguments out."""

from typing import Any

from torch import Tensor

from hf_ext.tasks.base.auto_class import AutoModelForEventExtraction
from hf_ext.tasks.base.linked_span_pipeline import LinkedSpanPipeline
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.events.encoding import decode_events, merge_events, with_trigger
from hf_ext.tasks.events.head import EventExtraction


class EventExtractionPipeline(LinkedSpanPipeline):
    """Finds events with a model of `AutoModelForEventExtraction` and a fast tokenizer.

    ``pipeline("event-extraction", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    for each text a list of ``{"type", "arguments", "score"}``. Arguments, the trigger among them, are ``{"role",
    "start", "end", "text"}``, ``end`` exclusive. ``score`` is the logistic function of the least score that the event
    rests on. A model that knows triggers gives only events that have one. Long texts are read in overlapping windows,
    and events that agree in what two windows share are put together.

    Args (of the constructor or of a call):
        threshold: keep events whose ``score`` is above this, in [0, 1); default 0.5.
        max_length: tokens of a window, special ones included; default 512, or less if the model or tokenizer takes
            less.
        stride: tokens that two windows share; default 64, or a quarter of a smaller window.
    """

    found = "events"
    head = EventExtraction
    positions = slice(2, 4)

    def merge(
        self,
        tables: list[Tensor],
        offsets: list[list[tuple[int, int]]],
        places: list[tuple[int, int]],
        text: str,
    ) -> list[dict[str, Any]]:
        """Events from the tables ``[K, 5]`` of a text's windows."""
        names = self.model.config.id2label
        found = [decode_events(table.tolist(), own, names, text) for table, own in zip(tables, offsets)]
        return with_trigger(merge_events(found, places), names)


register_task("event-extraction", EventExtractionPipeline, AutoModelForEventExtraction)
