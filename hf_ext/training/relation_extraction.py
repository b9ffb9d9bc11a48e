"""The job of `hf-ext train relations`: GPLinker on files of texts with relations."""

from dataclasses import dataclass

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

    auto_class = AutoModelForRelationExtraction
    encoder_class = RelationEncoder
    collator_class = DataCollatorForRelationExtraction
    read = staticmethod(read_relations)
    read_schema = staticmethod(read_relation_schema)
    labels_of = staticmethod(relation_labels)
    metrics = staticmethod(relation_metrics)
    decode = staticmethod(decode_relation_dataset)
    score = staticmethod(relation_scores)
