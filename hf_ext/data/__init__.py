"""Reading, encoding and batching texts."""

from hf_ext.data.answers import best_answer, decode_answer_dataset, decode_answers, merge_answers
from hf_ext.data.char_vocabulary import build_char_tokenizer, build_char_vocabulary
from hf_ext.data.dialogue_encoding import DataCollatorForDialogue, DialogueEncoder
from hf_ext.data.dialogues import read_dialogues
from hf_ext.data.document_encoding import DocumentEncoder
from hf_ext.data.entities import read_entities, write_entities
from hf_ext.data.entity_example import EntityDataError, EntityExample, check_labels
from hf_ext.data.event_encoding import DataCollatorForEventExtraction, EventEncoder, decode_event_dataset
from hf_ext.data.events import event_labels, read_event_schema, read_events
from hf_ext.data.paraphrases import DataCollatorForParaphrase, ParaphraseDataset, read_paraphrases
from hf_ext.data.pseudo_summary import DataCollatorForPseudoSummary, make_pseudo_summary
from hf_ext.data.reading import read_questions
from hf_ext.data.reading_encoding import DataCollatorForReadingComprehension, ReadingEncoder
from hf_ext.data.relation_encoding import (
    DataCollatorForRelationExtraction,
    RelationEncoder,
    decode_relation_dataset,
)
from hf_ext.data.relations import read_relation_schema, read_relations, relation_labels, to_duie
from hf_ext.data.samples import generate_samples
from hf_ext.data.span_collator import DataCollatorForSpanExtraction
from hf_ext.data.span_encoding import SpanEncoder, decode_dataset, decode_spans
from hf_ext.data.summaries import decode_summaries, encode_summaries, read_summaries
from hf_ext.data.whole_word_masking import DataCollatorForWholeWordMasking
from hf_ext.data.windows import merge_spans

__all__ = [
    "DataCollatorForDialogue",
    "DataCollatorForEventExtraction",
    "DataCollatorForParaphrase",
    "DataCollatorForPseudoSummary",
    "DataCollatorForReadingComprehension",
    "DataCollatorForRelationExtraction",
    "DataCollatorForSpanExtraction",
    "DataCollatorForWholeWordMasking",
    "DialogueEncoder",
    "DocumentEncoder",
    "EntityDataError",
    "EntityExample",
    "EventEncoder",
    "ParaphraseDataset",
    "ReadingEncoder",
    "RelationEncoder",
    "SpanEncoder",
    "best_answer",
    "build_char_tokenizer",
    "build_char_vocabulary",
    "check_labels",
    "decode_answer_dataset",
    "decode_answers",
    "decode_dataset",
    "decode_event_dataset",
    "decode_relation_dataset",
    "decode_spans",
    "decode_summaries",
    "encode_summaries",
    "event_labels",
    "generate_samples",
    "make_pseudo_summary",
    "merge_answers",
    "merge_spans",
    "read_dialogues",
    "read_entities",
    "read_event_schema",
    "read_events",
    "read_paraphrases",
    "read_questions",
    "read_relation_schema",
    "read_relations",
    "read_summaries",
    "relation_labels",
    "to_duie",
    "write_entities",
]
