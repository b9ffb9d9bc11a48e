"""Losses: functions first, each with a thin module."""

from hf_ext.losses.cosent import CoSENTLoss, CoSENTPairLoss, cosent_loss, cosent_pair_loss
from hf_ext.losses.cross_entropy import CrossEntropyLoss, class_balanced_weights, cross_entropy_loss
from hf_ext.losses.dice import BinaryDiceLoss, DiceLoss, binary_dice_loss, dice_loss
from hf_ext.losses.distillation import DistillationLoss, distillation_for_trainer, distillation_loss
from hf_ext.losses.exact import ExactLoss, exact_loss
from hf_ext.losses.f1_weighted import F1WeightedCrossEntropy, f1_weighted_cross_entropy
from hf_ext.losses.focal import BinaryFocalLoss, FocalLoss, binary_focal_loss, focal_loss
from hf_ext.losses.joint_softmax import JointSoftmaxLoss, joint_softmax_loss
from hf_ext.losses.logit_adjustment import LogitAdjustedLoss, logit_adjusted_loss
from hf_ext.losses.multilabel_softmax import (
    MultiLabelSoftmaxLoss,
    SoftMultiLabelSoftmaxLoss,
    SparseMultiLabelSoftmaxLoss,
    multilabel_softmax_loss,
    soft_multilabel_softmax_loss,
    sparse_multilabel_softmax_loss,
)
from hf_ext.losses.noise import NoiseCrossEntropyLoss, noise_cross_entropy_loss, noise_probabilities
from hf_ext.losses.orthogonality import (
    OrthogonalityPenalty,
    SelfOrthogonalityPenalty,
    orthogonality_penalty,
    self_orthogonality_penalty,
)
from hf_ext.losses.pointer_divergence import PointerDivergence, pointer_divergence
from hf_ext.losses.r_drop import RDropLoss, r_drop_loss, symmetric_divergence
from hf_ext.losses.sequence_to_sequence import (
    sequence_to_sequence_loss,
    sequence_to_sequence_losses,
    target_labels,
)
from hf_ext.losses.simcse import SimCSELoss, simcse_loss
from hf_ext.losses.similarity import (
    ParaphraseSimilarityLoss,
    cosine_similarities,
    grouped_classification_loss,
    pair_features,
    paraphrase_similarity_loss,
    similarity_distillation_loss,
)
from hf_ext.losses.smooth_metrics import SmoothAccuracyLoss, SmoothF1Loss, smooth_accuracy_loss, smooth_f1_loss
from hf_ext.losses.span import (
    SpanLoss,
    SpanSoftmaxLoss,
    efficient_span_loss,
    pointer_span_loss,
    span_loss,
    span_softmax_loss,
)
from hf_ext.losses.table import LOSSES, for_trainer
from hf_ext.losses.weissi import WEISSIPenalty, weissi_penalty

__all__ = [
    "LOSSES",
    "BinaryDiceLoss",
    "BinaryFocalLoss",
    "CoSENTLoss",
    "CoSENTPairLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "DistillationLoss",
    "ExactLoss",
    "F1WeightedCrossEntropy",
    "FocalLoss",
    "JointSoftmaxLoss",
    "LogitAdjustedLoss",
    "MultiLabelSoftmaxLoss",
    "NoiseCrossEntropyLoss",
    "OrthogonalityPenalty",
    "ParaphraseSimilarityLoss",
    "PointerDivergence",
    "RDropLoss",
    "SelfOrthogonalityPenalty",
    "SimCSELoss",
    "SmoothAccuracyLoss",
    "SmoothF1Loss",
    "SoftMultiLabelSoftmaxLoss",
    "SpanLoss",
    "SpanSoftmaxLoss",
    "SparseMultiLabelSoftmaxLoss",
    "WEISSIPenalty",
    "binary_dice_loss",
    "binary_focal_loss",
    "class_balanced_weights",
    "cosent_loss",
    "cosent_pair_loss",
    "cosine_similarities",
    "cross_entropy_loss",
    "dice_loss",
    "distillation_for_trainer",
    "distillation_loss",
    "efficient_span_loss",
    "exact_loss",
    "f1_weighted_cross_entropy",
    "focal_loss",
    "for_trainer",
    "grouped_classification_loss",
    "joint_softmax_loss",
    "logit_adjusted_loss",
    "multilabel_softmax_loss",
    "noise_cross_entropy_loss",
    "noise_probabilities",
    "orthogonality_penalty",
    "pair_features",
    "paraphrase_similarity_loss",
    "pointer_divergence",
    "pointer_span_loss",
    "r_drop_loss",
    "self_orthogonality_penalty",
    "sequence_to_sequence_loss",
    "sequence_to_sequence_losses",
    "simcse_loss",
    "similarity_distillation_loss",
    "smooth_accuracy_loss",
    "smooth_f1_loss",
    "soft_multilabel_softmax_loss",
    "span_loss",
    "span_softmax_loss",
    "sparse_multilabel_softmax_loss",
    "symmetric_divergence",
    "target_labels",
    "weissi_penalty",
]
