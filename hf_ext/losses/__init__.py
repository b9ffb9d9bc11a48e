"""Losses: functions first, each with a thin module."""

from hf_ext.losses.multilabel_softmax import (
    MultiLabelSoftmaxLoss,
    SoftMultiLabelSoftmaxLoss,
    SparseMultiLabelSoftmaxLoss,
    multilabel_softmax_loss,
    soft_multilabel_softmax_loss,
    sparse_multilabel_softmax_loss,
)
from hf_ext.losses.span import SpanLoss, SpanSoftmaxLoss, efficient_span_loss, span_loss, span_softmax_loss
from hf_ext.losses.table import LOSSES, for_trainer

__all__ = [
    "LOSSES",
    "MultiLabelSoftmaxLoss",
    "SoftMultiLabelSoftmaxLoss",
    "SpanLoss",
    "SpanSoftmaxLoss",
    "SparseMultiLabelSoftmaxLoss",
    "efficient_span_loss",
    "for_trainer",
    "multilabel_softmax_loss",
    "soft_multilabel_softmax_loss",
    "span_loss",
    "span_softmax_loss",
    "sparse_multilabel_softmax_loss",
]
