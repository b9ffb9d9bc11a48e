"""Losses: functions first, each with a thin module."""

from hf_ext.losses.multilabel_softmax import (
    MultiLabelSoftmaxLoss,
    SoftMultiLabelSoftmaxLoss,
    SparseMultiLabelSoftmaxLoss,
    multilabel_softmax_loss,
    soft_multilabel_softmax_loss,
    sparse_multilabel_softmax_loss,
)
from hf_ext.losses.sequence_to_sequence import (
    sequence_to_sequence_loss,
    sequence_to_sequence_losses,
    target_labels,
)
from hf_ext.losses.similarity import (
    ParaphraseSimilarityLoss,
    cosine_similarities,
    grouped_classification_loss,
    pair_features,
    paraphrase_similarity_loss,
    similarity_distillation_loss,
)
from hf_ext.losses.span import SpanLoss, SpanSoftmaxLoss, efficient_span_loss, span_loss, span_softmax_loss
from hf_ext.losses.table import LOSSES, for_trainer

__all__ = [
    "LOSSES",
    "MultiLabelSoftmaxLoss",
    "ParaphraseSimilarityLoss",
    "SoftMultiLabelSoftmaxLoss",
    "SpanLoss",
    "SpanSoftmaxLoss",
    "SparseMultiLabelSoftmaxLoss",
    "cosine_similarities",
    "efficient_span_loss",
    "for_trainer",
    "grouped_classification_loss",
    "multilabel_softmax_loss",
    "pair_features",
    "paraphrase_similarity_loss",
    "sequence_to_sequence_loss",
    "sequence_to_sequence_losses",
    "similarity_distillation_loss",
    "soft_multilabel_softmax_loss",
    "span_loss",
    "span_softmax_loss",
    "sparse_multilabel_softmax_loss",
    "target_labels",
]
