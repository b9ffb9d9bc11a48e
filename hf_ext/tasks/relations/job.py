"""The job of `hf-ext train relations`: GPLinker on files of texts with relations."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hf_ext.tasks.base.auto_class import AutoModelForRelationExtraction
from hf_ext.tasks.base.extraction_job import LinkedSpanJob
from hf_ext.tasks.base.option import option
from hf_ext.tasks.relations.encoding import DataCollatorForRelationExtraction, RelationEncoder, decode_relation_dataset
from hf_ext.tasks.relations.files import read_relation_schema, read_relations, relation_labels
from hf_ext.tasks.relations.metrics import relation_metrics, relation_scores


@dataclass
class RelationExtractionJob(LinkedSpanJob):
    """Relation extraction with GPLinker, overlapping entities and complex objects included.

    Files in a format of :func:`~hf_ext.tasks.relations.read_relations`, scored by `relation_scores`.
    """

    train_file: Path = option("Texts with relations: JSON lines, DuIE 1.0 or DuIE 2.0.", group="Files")
    schema_file: Path | None = option("DuIE's schema; else the predicates of the training file.", None, group="Files")

    command: ClassVar[str] = "relations"

    auto_class = AutoModelForRelationExtraction
    encoder_class = RelationEncoder
    collator_class = DataCollatorForRelationExtraction
    read = staticmethod(read_relations)
    read_schema = staticmethod(read_relation_schema)
    labels_of = staticmethod(relation_labels)
    metrics = staticmethod(relation_metrics)
    decode = staticmethod(decode_relation_dataset)
    score = staticmethod(relation_scores)
