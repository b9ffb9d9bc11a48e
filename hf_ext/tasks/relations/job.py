"""The main job of `hf-ext train relations`: GPLinker on files of texts with relations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset

from hf_ext.metrics.comparison import Item
from hf_ext.tasks.base.extraction_job import LinkedSpanJob, SchemaJob
from hf_ext.tasks.base.option import option
from hf_ext.tasks.relations.encoding import (
    DataCollatorForRelationExtraction,
    RelationEncoder,
    decode_relation_dataset,
)
from hf_ext.tasks.relations.files import read_relation_schema, read_relations, relation_labels
from hf_ext.tasks.relations.head import AutoModelForRelationExtraction
from hf_ext.tasks.relations.metrics import relation_compute_metrics, relation_key, relation_scores


@dataclass
class RelationJob(SchemaJob):
    """What jobs on texts with relations share; a subclass names the head.

    Files in a format of :func:`~hf_ext.tasks.relations.read_relations`, scored by `relation_scores`.
    """

    train_file: Path = option(
        "Texts with relations: JSON lines, DuIE 1.0 or 2.0, doccano, label-studio or brat.", None, group="Files"
    )
    schema_file: Path | None = option("DuIE's schema; else the predicates of the training file.", None, group="Files")

    label_key: ClassVar[str | None] = "relations"

    def read_file(self, path: Path, labels: Sequence[str] | None) -> list[dict[str, Any]]:
        """Texts with relations."""
        return read_relations(path, labels)

    def read_schema(self, path: Path) -> list[str]:
        """Names of links."""
        return read_relation_schema(path)

    def labels_of(self, examples: Sequence[Mapping[str, Any]]) -> list[str]:
        """Names of links."""
        return relation_labels(examples)

    def compute_metrics(self, id2label: Any) -> Any:
        """Scores of relations of tokens."""
        return relation_compute_metrics(id2label)

    def exact_scores(self, found: Any, true: Any, config: Any) -> dict[str, Any]:
        """Scores of relations on the characters of the texts."""
        return relation_scores(found, true)

    def items(self, text: str, annotations: Sequence[Mapping[str, Any]]) -> Sequence[Item]:
        """The relations, which are told apart by their strings; one is cut wrong where both its entities overlap."""
        return [_item(one) for one in annotations]


@dataclass
class RelationExtractionJob(RelationJob, LinkedSpanJob):
    """Relation extraction with GPLinker or half pointers, overlapping entities and complex objects included."""

    head: str | None = option(
        "How relations are found: by linked spans, or by a subject first and then its objects; else gplinker.",
        None,
        group="Head",
        choices=("gplinker",),
    )

    command: ClassVar[str] = "relations"
    auto_class: ClassVar[Any] = AutoModelForRelationExtraction
    encoder_class = RelationEncoder
    collator_class = DataCollatorForRelationExtraction

    def decode(self, predictions: Any, rows: Dataset, texts: Sequence[str], config: Any) -> list[list[dict[str, Any]]]:
        """The relations of each text."""
        return decode_relation_dataset(predictions, rows, texts, config.id2label)


def _item(relation: Mapping[str, Any]) -> Item:
    predicate, strings = relation_key(relation)
    subject, object_, slots = relation["subject"], relation["object"], relation.get("slots") or ()
    named = "".join(f", {slot['name']}: {slot['text']}" for slot in slots)
    return Item(
        predicate,
        strings,
        f"{subject['text']} → {object_['text']}{named}",
        (("subject", subject["start"], subject["end"]), ("object", object_["start"], object_["end"])),
        tuple((slot["name"], slot["start"], slot["end"]) for slot in slots),
        score=relation.get("score"),
    )
