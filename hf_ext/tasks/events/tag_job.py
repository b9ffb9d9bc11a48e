"""The job of `hf-ext train events --head crf`: the arguments of events by a CRF over tags of their types and roles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.tag_job import TagJob
from hf_ext.tasks.events.job import EventJob
from hf_ext.tasks.events.labels import TRIGGER, event_label, split_event_label
from hf_ext.tasks.events.metrics import event_scores
from hf_ext.tasks.events.tag_encoding import EventTagEncoder, events_of_spans
from hf_ext.tasks.events.tag_head import AutoModelForEventTagging


@dataclass
class EventTaggingJob(TagJob, EventJob):
    """Arguments of events with a CRF, a MEMM or a softmax over tags, without triggers and without overlaps."""

    arguments_by_string: bool = option(
        "As the original: learn a string once, where it first occurs, with the role that is listed last; else each "
        "argument at its place.",
        False,
        group="Head",
    )

    command: ClassVar[str] = "events"
    auto_class: ClassVar[Any] = AutoModelForEventTagging
    encoder_class = EventTagEncoder

    def head_options(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Fields of the head's config; the first token of a row is outside if it is none of the text's."""
        special = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        return {**super().head_options(tokenizer), "first_tag_outside": special[:1] == [1]}

    def encoder(self, tokenizer: PreTrainedTokenizerBase, config: Any) -> EventTagEncoder:
        """What makes rows of texts, with what a label stands at."""
        encoder: Any = super().encoder(tokenizer, config)
        encoder.by_string = self.arguments_by_string
        return encoder

    def read_file(self, path: Path, labels: Sequence[str] | None) -> list[dict[str, Any]]:
        """Texts with events, which may have triggers, though the model knows none."""
        if labels is not None:
            kinds = dict.fromkeys(split_event_label(label)[0] for label in labels)
            labels = [*dict.fromkeys([*labels, *(event_label(kind, TRIGGER) for kind in kinds)])]
        return super().read_file(path, labels)

    def outputs(self, labels: Sequence[str]) -> Sequence[str]:
        """The tags, without those of triggers."""
        return super().outputs([label for label in labels if split_event_label(label)[1] != TRIGGER])

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """The events of each text."""
        return [events_of_spans(spans) for spans in super().decode(predictions, rows, texts, config)]

    def exact_scores(self, found: Any, true: Any, config: Any) -> dict[str, Any]:
        """Scores of events on the characters of the texts, triggers aside."""
        return event_scores(found, [list(map(_without_trigger, events)) for events in true])


def _without_trigger(event: Mapping[str, Any]) -> dict[str, Any]:
    return {**event, "arguments": [one for one in event["arguments"] if one["role"] != TRIGGER]}
