"""Makes Trainer honour what our heads and datasets say of training, without importing it before the user does."""

from types import ModuleType

from hf_ext.import_hooks import when_imported
from hf_ext.transformers_private import default_callbacks


def register_callbacks() -> None:
    """Add our callbacks to Trainer's as soon as ``transformers.trainer`` is imported, at once if it is already."""
    when_imported("transformers.trainer", _add_callbacks)


def _add_callbacks(trainer: ModuleType) -> None:
    from hf_ext.training.dataset_epoch import DatasetEpoch
    from hf_ext.training.head_learning_rate import HeadLearningRate
    from hf_ext.training.label_smoothing import CheckLabelSmoothing

    for callback in (HeadLearningRate, CheckLabelSmoothing, DatasetEpoch):
        if callback not in default_callbacks(trainer):
            default_callbacks(trainer).append(callback)
