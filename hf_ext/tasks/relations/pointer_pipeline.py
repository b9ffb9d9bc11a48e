"""The pipeline "half-pointer-relation-extraction": texts in, relations with the places of their entities out."""

from typing import Any

from hf_ext.data.windows import Window
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.relations.encoding import merge_links
from hf_ext.tasks.relations.pipeline import RelationExtractionPipeline
from hf_ext.tasks.relations.pointer_encoding import join_by_subject
from hf_ext.tasks.relations.pointer_head import AutoModelForHalfPointerRelations


class HalfPointerRelationPipeline(RelationExtractionPipeline):
    """Finds relations with a model of `AutoModelForHalfPointerRelations` and a fast tokenizer.

    ``pipeline("half-pointer-relation-extraction", model=folder)`` takes and gives what "relation-extraction" does, with
    the same options; the default of ``threshold`` is the config's ``score_threshold``, or 0.4.
    """

    auto_class = AutoModelForHalfPointerRelations
    endings = ("ForHalfPointerRelations",)

    def merge(self, found: list[list[dict[str, Any]]], windows: list[Window]) -> list[dict[str, Any]]:
        """Relations from what is in each window of a text."""
        return join_by_subject(merge_links(found, windows))


register_task("half-pointer-relation-extraction", HalfPointerRelationPipeline, AutoModelForHalfPointerRelations)
