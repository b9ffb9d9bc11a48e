"""The pipeline "event-tagging": texts in, events with the places of their arguments out."""

from typing import Any

from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.tag_pipeline import TagPipeline
from hf_ext.tasks.events.labels import split_event_label
from hf_ext.tasks.events.tag_encoding import events_of_spans
from hf_ext.tasks.events.tag_head import AutoModelForEventTagging


class EventTaggingPipeline(TagPipeline):
    """Finds events with a model of `AutoModelForEventTagging` and a fast tokenizer.

    ``pipeline("event-tagging", model=folder)`` takes and gives what "event-extraction" does, but for triggers, which
    it does not know: all arguments of one type in a text are one event. ``score`` is the least probability that one of
    the arguments' tokens has its tag.

    Args (of the constructor or of a call):
        threshold: keep arguments whose probability is above this, in [0, 1); default 0.
        max_length: tokens of a window, special ones included; default 512, or less if the model or tokenizer takes
            less.
        stride: tokens that two windows share, at least the length of the longest argument; default 64, or a quarter of
            a smaller window.
    """

    auto_class = AutoModelForEventTagging
    found = "events"
    command = "events"
    endings = ("ForEventTagging",)

    @classmethod
    def labels(cls, config: Any) -> list[str]:
        """The types of events, without roles."""
        return list(dict.fromkeys(split_event_label(label)[0] for label in super().labels(config)))

    def postprocess(  # type: ignore[override]
        self, model_outputs: list[dict[str, Any]], threshold: float = 0.0
    ) -> list[dict[str, Any]]:
        """The events of one text from its windows."""
        return events_of_spans(self.spans_of_text(model_outputs, threshold))


register_task("event-tagging", EventTaggingPipeline, AutoModelForEventTagging)
