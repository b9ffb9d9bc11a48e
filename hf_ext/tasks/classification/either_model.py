"""Opens classifiers with either head."""

from transformers import AutoModelForSequenceClassification

from hf_ext.tasks.base.head_choice import OWN, either_class
from hf_ext.tasks.classification.head import AutoModelForLinearClassification

EitherModelForSequenceClassification = either_class(
    AutoModelForSequenceClassification, AutoModelForLinearClassification, default=OWN
)
"""What opens a classifier by the head that it has; see :func:`hf_ext.tasks.base.head_choice.either_class`."""
