"""The job of `hf-ext train relations --head half_pointer`: subjects first, then the objects of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Dataset
from torch import Tensor
from transformers import TrainingArguments

from hf_ext.data.drawn_rows import DrawnRows
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.score_threshold import threshold_option
from hf_ext.tasks.relations.encoding import decode_relation_dataset
from hf_ext.tasks.relations.job import RelationJob
from hf_ext.tasks.relations.pointer_encoding import (
    DataCollatorForHalfPointers,
    HalfPointerEncoder,
    draw_subject,
    join_by_subject,
)
from hf_ext.tasks.relations.pointer_head import AutoModelForHalfPointerRelations
from hf_ext.training.divergences import Divergence, pointer_tables_divergence


def half_pointer_divergence(first: Sequence[Tensor], second: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
    """`pointer_tables_divergence` of half pointers, whose tables have tokens for rows, and first and last for columns.

    Args:
        first: scores ``[B, L, 2]`` and ``[B, L, P, 2]`` of one pass.
        second: of the other, with the same subject.
        labels: not read.
    """
    return pointer_tables_divergence(_tables(first), _tables(second), labels)


def _tables(scores: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    subjects, objects = scores
    return subjects.unsqueeze(1), objects.transpose(1, 2)


@dataclass
class HalfPointerRelationJob(RelationJob):
    """Relation extraction by half pointers, overlapping entities included."""

    head: str | None = option(
        "How relations are found: by a subject first and then its objects; else gplinker.",
        None,
        group="Head",
        choices=("half_pointer",),
    )
    threshold: str | None = threshold_option(0.4)

    command: ClassVar[str] = "relations"
    auto_class: ClassVar[Any] = AutoModelForHalfPointerRelations
    # Where a span ends depends on which tokens are ends.
    keeps_what_scores_more: ClassVar[bool] = False
    encoder_class = HalfPointerEncoder
    collator_class = DataCollatorForHalfPointers
    divergence: ClassVar[Divergence] = staticmethod(half_pointer_divergence)
    clean_divergence: ClassVar[Divergence] = staticmethod(half_pointer_divergence)

    def rows_of_training(self, rows: Any, arguments: TrainingArguments) -> DrawnRows:
        """Each with a subject, drawn anew in each epoch."""
        return DrawnRows(rows, draw_subject, arguments.seed)

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """The relations of each text."""
        return decode_relation_dataset(predictions, rows, texts, config.id2label, join_by_subject)
