"""The job of `hf-ext train relations`: GPLinker on files of texts with relations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset

from hf_ext.data import (
    DataCollatorForRelationExtraction,
    RelationEncoder,
    decode_relation_dataset,
    read_relation_schema,
    read_relations,
    relation_labels,
)
from hf_ext.heads import AutoModelForRelationExtraction
from hf_ext.metrics import relation_metrics, relation_scores
from hf_ext.training.linked_spans import LinkedSpanJob


@dataclass
class RelationExtractionJob(LinkedSpanJob):
    """Files in a format of :func:`hf_ext.data.read_relations`; scores as :func:`hf_ext.metrics.relation_scores`."""

    auto_class: ClassVar[Any] = AutoModelForRelationExtraction
    encoder_class: ClassVar[type[RelationEncoder]] = RelationEncoder
    collator_class: ClassVar[type[DataCollatorForRelationExtraction]] = DataCollatorForRelationExtraction

    def read(self, path: Path, labels: Sequence[str] | None) -> list[dict[str, Any]]:
        """Texts with relations."""
        return read_relations(path, labels)

    def read_schema(self, path: Path) -> list[str]:
        """Names of links."""
        return read_relation_schema(path)

    def labels_of(self, examples: Sequence[Mapping[str, Any]]) -> list[str]:
        """Names of links that occur."""
        return relation_labels(examples)

    def metrics(self, id2label: Mapping[int, str]) -> Any:
        """Scores of links on tokens."""
        return relation_metrics(id2label)

    def scores(
        self,
        predictions: Any,
        encoded: Dataset,
        examples: Sequence[Mapping[str, Any]],
        id2label: Mapping[int, str],
    ) -> dict[str, Any]:
        """Scores of whole relations."""
        found = decode_relation_dataset(predictions, encoded, [example["text"] for example in examples], id2label)
        return relation_scores(found, [example["relations"] for example in examples])
