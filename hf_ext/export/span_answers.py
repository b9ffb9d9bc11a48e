"""What pointers and tags find in texts: entities, relations and events."""

from collections.abc import Iterator, Mapping
from typing import Any

from hf_ext.data.span_encoding import decode_spans
from hf_ext.data.tag_encoding import spans_of_tags
from hf_ext.data.windows import TextWindow, merge_spans
from hf_ext.export.best_spans import best_spans, with_probabilities
from hf_ext.export.graph_session import Array
from hf_ext.export.linked_spans import best_events, best_relations, pointed_relations
from hf_ext.export.tag_chain import TagChain
from hf_ext.export.window_answers import WindowAnswers
from hf_ext.tasks.events.encoding import decode_events, merge_events, with_trigger
from hf_ext.tasks.events.labels import split_event_label
from hf_ext.tasks.events.tag_encoding import events_of_spans
from hf_ext.tasks.relations.encoding import decode_links, join_slots, merge_links
from hf_ext.tasks.relations.pointer_encoding import join_by_subject


class EntityAnswers(WindowAnswers):
    """What "span-extraction" gives."""

    def read(  # type: ignore[override]
        self, batch: Mapping[str, Array], outputs: Mapping[str, Array], threshold: float | None
    ) -> Iterator[Any]:
        """The best spans of each row."""
        for scores in outputs["scores"]:
            yield with_probabilities(best_spans(scores, self.config.span_top_k, self.least(threshold)))

    def decode(self, found: Any, window: TextWindow) -> list[dict[str, Any]]:
        """The spans in characters."""
        return decode_spans(found, window.offsets, self.config.id2label, window.text)

    def merge(  # type: ignore[override]
        self, found: list[Any], windows: list[TextWindow]
    ) -> list[dict[str, Any]]:
        """The spans of a text."""
        return merge_spans(found, [window.bounds for window in windows])


class RelationAnswers(WindowAnswers):
    """What "relation-extraction" gives."""

    def read(  # type: ignore[override]
        self, batch: Mapping[str, Array], outputs: Mapping[str, Array], threshold: float | None
    ) -> Iterator[Any]:
        """The best relations of each row."""
        for tables in zip(outputs["spans"], outputs["heads"], outputs["tails"]):
            yield with_probabilities(best_relations(*tables, self.config.span_top_k, self.least(threshold)))

    def decode(self, found: Any, window: TextWindow) -> list[dict[str, Any]]:
        """The links in characters."""
        return decode_links(found, window.offsets, self.config.id2label, window.text)

    def merge(  # type: ignore[override]
        self, found: list[Any], windows: list[TextWindow]
    ) -> list[dict[str, Any]]:
        """The relations of a text."""
        return join_slots(merge_links(found, [window.bounds for window in windows]))


class PointedRelationAnswers(RelationAnswers):
    """What "half-pointer-relation-extraction" gives."""

    def read(  # type: ignore[override]
        self, batch: Mapping[str, Array], outputs: Mapping[str, Array], threshold: float | None
    ) -> Iterator[Any]:
        """The best relations of each row."""
        objects = self.graphs["objects"]
        for vectors, subjects, real in zip(outputs["vectors"], outputs["subjects"], batch["attention_mask"] != 0):
            table = pointed_relations(
                vectors[real], subjects[real], objects, self.config.span_top_k, self.least(threshold)
            )
            yield with_probabilities(table)

    def merge(  # type: ignore[override]
        self, found: list[Any], windows: list[TextWindow]
    ) -> list[dict[str, Any]]:
        """The relations of a text."""
        return join_by_subject(merge_links(found, [window.bounds for window in windows]))


class EventAnswers(WindowAnswers):
    """What "event-extraction" gives."""

    def read(  # type: ignore[override]
        self, batch: Mapping[str, Array], outputs: Mapping[str, Array], threshold: float | None
    ) -> Iterator[Any]:
        """The arguments of the events of each row."""
        names = self.config.id2label
        types = [split_event_label(names[number])[0] for number in range(len(names))]
        for tables in zip(outputs["spans"], outputs["heads"], outputs["tails"]):
            yield with_probabilities(best_events(*tables, types, self.config.span_top_k, self.least(threshold)))

    def decode(self, found: Any, window: TextWindow) -> list[dict[str, Any]]:
        """The events in characters."""
        return decode_events(found, window.offsets, self.config.id2label, window.text)

    def merge(  # type: ignore[override]
        self, found: list[Any], windows: list[TextWindow]
    ) -> list[dict[str, Any]]:
        """The events of a text."""
        return with_trigger(merge_events(found, [window.bounds for window in windows]), self.config.id2label)


class TagAnswers(WindowAnswers):
    """What "sequence-labeling" gives, without ``n_best``."""

    def read(  # type: ignore[override]
        self, batch: Mapping[str, Array], outputs: Mapping[str, Array], threshold: float | None
    ) -> Iterator[Any]:
        """The best tags of each row, how sure each is, and how sure a span is to be."""
        chain = TagChain(*(outputs[name] for name in ("emissions", "transitions", "start", "end", "mask")))
        tags = chain.best()
        for own, chances in zip(tags.tolist(), chain.chances(tags).tolist()):
            yield own, chances, threshold or 0.0

    def decode(self, found: Any, window: TextWindow) -> list[dict[str, Any]]:
        """The spans of the tags in characters."""
        tags, chances, threshold = found
        count = len(window.offsets)
        return spans_of_tags(
            tags[:count], chances[:count], window.offsets, window.text, self.config.id2label, threshold
        )

    def merge(  # type: ignore[override]
        self, found: list[Any], windows: list[TextWindow]
    ) -> list[dict[str, Any]]:
        """The spans of a text."""
        return merge_spans(found, [window.bounds for window in windows])


class EventTagAnswers(TagAnswers):
    """What "event-tagging" gives."""

    def merge(  # type: ignore[override]
        self, found: list[Any], windows: list[TextWindow]
    ) -> list[dict[str, Any]]:
        """The events of a text."""
        return events_of_spans(super().merge(found, windows))
