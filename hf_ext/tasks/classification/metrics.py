"""Scores of classified texts, which are those of whatever is classified."""

from hf_ext.metrics.class_scores import (
    class_probabilities as class_probabilities,
    classification_compute_metrics as classification_compute_metrics,
    classification_scores as classification_scores,
    predicted_classes as predicted_classes,
    scores_of_prediction as scores_of_prediction,
)
