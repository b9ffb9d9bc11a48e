"""The pipeline "relation-extraction": texts in, relations with the places of their entities out."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from hf_ext.data.windows import Window
from hf_ext.tasks.base.linked_span_pipeline import LinkedSpanPipeline
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.relations.encoding import decode_links, join_slots, merge_links
from hf_ext.tasks.relations.head import AutoModelForRelationExtraction


class RelationExtractionPipeline(LinkedSpanPipeline):
    """Finds relations with a model of `AutoModelForRelationExtraction` and a fast tokenizer.

    ``pipeline("relation-extraction", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    for each text a list of ``{"predicate", "subject", "object", "slots", "score"}``. Entities are ``{"start", "end",
    "text"}``, ``end`` exclusive, and slots of a complex object also have a ``name``. ``score`` is the logistic function
    of the least score that the relation rests on. Long texts are read in overlapping windows; a relation is found if
    one window holds both entities.

    Args (of the constructor or of a call):
        threshold: keep relations whose ``score`` is above this, in [0, 1); default the config's
            ``score_threshold``, which training may choose, or 0.5.
        max_length: tokens of a window, special ones included; default 512, or less if the model or tokenizer takes
            less.
        stride: tokens that two windows share; default 64, or a quarter of a smaller window.
    """

    auto_class = AutoModelForRelationExtraction
    found = "relations"
    command = "relations"
    endings = ("ForRelationExtraction",)

    def decode(self, table: Tensor, offsets: Sequence[tuple[int, int]], text: str) -> list[dict[str, Any]]:
        """What is in the predictions ``[K, 6]`` for a window."""
        return decode_links(table.tolist(), offsets, self.model.config.id2label, text)

    def merge(self, found: list[list[dict[str, Any]]], windows: list[Window]) -> list[dict[str, Any]]:
        """Relations from what is in each window of a text."""
        return join_slots(merge_links(found, windows))


register_task("relation-extraction", RelationExtractionPipeline, AutoModelForRelationExtraction)
