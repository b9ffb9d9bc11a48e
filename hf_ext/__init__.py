"""Su Jianlin's models, heads and losses for Transformers v5. Importing registers them with the Auto classes.

Beside the models, public names are imported when they are first used.
"""

from typing import TYPE_CHECKING

# These register, as importing the models does.
import hf_ext.pipelines
import hf_ext.training  # noqa: F401
from hf_ext import models
from hf_ext.lazy_names import lazy_names
from hf_ext.models import *  # noqa: F403
from hf_ext.version import __version__

if TYPE_CHECKING:
    from hf_ext.conversion import convert_release, export_release  # noqa: F401
    from hf_ext.data import (  # noqa: F401
        DataCollatorForDialogue,
        DataCollatorForEventExtraction,
        DataCollatorForParaphrase,
        DataCollatorForPseudoSummary,
        DataCollatorForReadingComprehension,
        DataCollatorForRelationExtraction,
        DataCollatorForSpanExtraction,
        DataCollatorForWholeWordMasking,
        DialogueEncoder,
        DocumentEncoder,
        EventEncoder,
        ParaphraseDataset,
        ReadingEncoder,
        RelationEncoder,
        SpanEncoder,
        best_answer,
        build_char_tokenizer,
        decode_answer_dataset,
        decode_dataset,
        decode_event_dataset,
        decode_relation_dataset,
        decode_spans,
        decode_summaries,
        encode_summaries,
        event_labels,
        generate_samples,
        make_pseudo_summary,
        merge_answers,
        read_dialogues,
        read_entities,
        read_event_schema,
        read_events,
        read_paraphrases,
        read_questions,
        read_relation_schema,
        read_relations,
        read_summaries,
        relation_labels,
        write_entities,
    )
    from hf_ext.data.labelled_texts import label_names, read_labelled_texts  # noqa: F401
    from hf_ext.data.tag_encoding import TagEncoder, tags_to_predictions  # noqa: F401
    from hf_ext.data.tag_schemes import spans_to_tags, tags_of_labels, tags_to_spans  # noqa: F401
    from hf_ext.data.text_pairs import read_text_pairs, read_texts_alone  # noqa: F401
    from hf_ext.heads import (  # noqa: F401
        AutoModelForEventExtraction,
        AutoModelForReadingComprehension,
        AutoModelForRelationExtraction,
        AutoModelForSequenceLabeling,
        AutoModelForSpanExtraction,
    )
    from hf_ext.hub.sentence_transformers_folder import save_for_sentence_transformers  # noqa: F401
    from hf_ext.metrics import (  # noqa: F401
        ReadingMetric,
        SpanMetric,
        event_metrics,
        event_scores,
        reading_metrics,
        reading_scores,
        relation_metrics,
        relation_scores,
        span_metrics,
        span_scores,
        summary_metrics,
        summary_scores,
    )
    from hf_ext.metrics.classification import classification_metrics, classification_scores  # noqa: F401
    from hf_ext.metrics.perplexity import next_token_sums, perplexity_metrics  # noqa: F401
    from hf_ext.metrics.retrieval import paraphrase_retrieval_accuracy  # noqa: F401
    from hf_ext.metrics.tag_metrics import tag_metrics  # noqa: F401
    from hf_ext.metrics.threshold_calibration import calibrate_span_thresholds, calibrate_thresholds  # noqa: F401
    from hf_ext.modules.crf import ConditionalRandomField, MaximumEntropyMarkovModel  # noqa: F401
    from hf_ext.modules.global_pointer import EfficientGlobalPointer, GlobalPointer  # noqa: F401
    from hf_ext.modules.whitening import Whitening  # noqa: F401
    from hf_ext.pipelines.chat import Chat  # noqa: F401
    from hf_ext.pipelines.embedding import EmbeddingPipeline  # noqa: F401
    from hf_ext.pipelines.event_extraction import EventExtractionPipeline  # noqa: F401
    from hf_ext.pipelines.paraphrase import ParaphrasePipeline  # noqa: F401
    from hf_ext.pipelines.reading_comprehension import ReadingComprehensionPipeline  # noqa: F401
    from hf_ext.pipelines.relation_extraction import RelationExtractionPipeline  # noqa: F401
    from hf_ext.pipelines.sequence_labeling import SequenceLabelingPipeline  # noqa: F401
    from hf_ext.pipelines.span_extraction import SpanExtractionPipeline  # noqa: F401
    from hf_ext.tokenization import JiebaWordPieceTokenizer  # noqa: F401
    from hf_ext.training.classification import ClassificationJob, encode_labelled_texts  # noqa: F401
    from hf_ext.training.dialogue import DialogueJob  # noqa: F401
    from hf_ext.training.event_extraction import EventExtractionJob  # noqa: F401
    from hf_ext.training.head_learning_rate import HeadLearningRate  # noqa: F401
    from hf_ext.training.parameter_groups import head_optimizer  # noqa: F401
    from hf_ext.training.paraphrase import ParaphraseJob  # noqa: F401
    from hf_ext.training.r_drop import RDropTrainer  # noqa: F401
    from hf_ext.training.reading_comprehension import ReadingComprehensionJob  # noqa: F401
    from hf_ext.training.relation_extraction import RelationExtractionJob  # noqa: F401
    from hf_ext.training.sequence_labeling import SequenceLabelingJob  # noqa: F401
    from hf_ext.training.similarity import DataCollatorForSimilarity, SimilarityJob, SimilarityTrainer  # noqa: F401
    from hf_ext.training.span_extraction import SpanExtractionJob  # noqa: F401
    from hf_ext.training.summarization import SummarizationJob  # noqa: F401

_PUBLIC = {
    "hf_ext.conversion": ("convert_release", "export_release"),
    "hf_ext.data": (
        "DataCollatorForReadingComprehension",
        "ReadingEncoder",
        "best_answer",
        "decode_answer_dataset",
        "merge_answers",
        "read_questions",
        "DataCollatorForEventExtraction",
        "DataCollatorForRelationExtraction",
        "EventEncoder",
        "RelationEncoder",
        "decode_event_dataset",
        "decode_relation_dataset",
        "event_labels",
        "read_event_schema",
        "read_events",
        "read_relation_schema",
        "read_relations",
        "relation_labels",
        "DataCollatorForDialogue",
        "DataCollatorForPseudoSummary",
        "DataCollatorForParaphrase",
        "DataCollatorForSpanExtraction",
        "ParaphraseDataset",
        "read_paraphrases",
        "DataCollatorForWholeWordMasking",
        "DialogueEncoder",
        "DocumentEncoder",
        "SpanEncoder",
        "build_char_tokenizer",
        "decode_dataset",
        "decode_spans",
        "decode_summaries",
        "encode_summaries",
        "generate_samples",
        "make_pseudo_summary",
        "read_dialogues",
        "read_entities",
        "read_summaries",
        "write_entities",
    ),
    "hf_ext.heads": (
        "AutoModelForEventExtraction",
        "AutoModelForReadingComprehension",
        "AutoModelForRelationExtraction",
        "AutoModelForSequenceLabeling",
        "AutoModelForSpanExtraction",
    ),
    "hf_ext.hub.sentence_transformers_folder": ("save_for_sentence_transformers",),
    "hf_ext.metrics": (
        "ReadingMetric",
        "reading_metrics",
        "reading_scores",
        "event_metrics",
        "event_scores",
        "relation_metrics",
        "relation_scores",
        "SpanMetric",
        "span_metrics",
        "span_scores",
        "summary_metrics",
        "summary_scores",
    ),
    "hf_ext.metrics.tag_metrics": ("tag_metrics",),
    "hf_ext.data.tag_encoding": ("TagEncoder", "tags_to_predictions"),
    "hf_ext.data.tag_schemes": ("spans_to_tags", "tags_of_labels", "tags_to_spans"),
    "hf_ext.modules.crf": ("ConditionalRandomField", "MaximumEntropyMarkovModel"),
    "hf_ext.metrics.retrieval": ("paraphrase_retrieval_accuracy",),
    "hf_ext.metrics.threshold_calibration": ("calibrate_span_thresholds", "calibrate_thresholds"),
    "hf_ext.modules.global_pointer": ("EfficientGlobalPointer", "GlobalPointer"),
    "hf_ext.modules.whitening": ("Whitening",),
    "hf_ext.metrics.perplexity": ("next_token_sums", "perplexity_metrics"),
    "hf_ext.pipelines.chat": ("Chat",),
    "hf_ext.pipelines.embedding": ("EmbeddingPipeline",),
    "hf_ext.pipelines.paraphrase": ("ParaphrasePipeline",),
    "hf_ext.pipelines.sequence_labeling": ("SequenceLabelingPipeline",),
    "hf_ext.pipelines.event_extraction": ("EventExtractionPipeline",),
    "hf_ext.pipelines.reading_comprehension": ("ReadingComprehensionPipeline",),
    "hf_ext.pipelines.relation_extraction": ("RelationExtractionPipeline",),
    "hf_ext.pipelines.span_extraction": ("SpanExtractionPipeline",),
    "hf_ext.tokenization": ("JiebaWordPieceTokenizer",),
    "hf_ext.training.head_learning_rate": ("HeadLearningRate",),
    "hf_ext.training.parameter_groups": ("head_optimizer",),
    "hf_ext.training.r_drop": ("RDropTrainer",),
    "hf_ext.data.labelled_texts": (
        "label_names",
        "read_labelled_texts",
    ),
    "hf_ext.data.text_pairs": (
        "read_text_pairs",
        "read_texts_alone",
    ),
    "hf_ext.metrics.classification": (
        "classification_metrics",
        "classification_scores",
    ),
    "hf_ext.training.classification": (
        "ClassificationJob",
        "encode_labelled_texts",
    ),
    "hf_ext.training.dialogue": ("DialogueJob",),
    "hf_ext.training.event_extraction": ("EventExtractionJob",),
    "hf_ext.training.paraphrase": ("ParaphraseJob",),
    "hf_ext.training.reading_comprehension": ("ReadingComprehensionJob",),
    "hf_ext.training.relation_extraction": ("RelationExtractionJob",),
    "hf_ext.training.sequence_labeling": ("SequenceLabelingJob",),
    "hf_ext.training.similarity": (
        "DataCollatorForSimilarity",
        "SimilarityJob",
        "SimilarityTrainer",
    ),
    "hf_ext.training.span_extraction": ("SpanExtractionJob",),
    "hf_ext.training.summarization": ("SummarizationJob",),
}

__all__ = ["__version__", *(name for names in _PUBLIC.values() for name in names)]
__all__ += models.__all__

__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
