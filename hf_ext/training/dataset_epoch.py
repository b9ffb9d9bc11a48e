"""Tells a dataset that draws anew in each epoch which epoch it is, as a resumed run has to know."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class DatasetEpoch(TrainerCallback):
    """Calls ``set_epoch`` of a training dataset that has it; every Trainer has this once ``hf_ext`` is imported.

    Accelerate's loaders do so too, but not where their sampler has such a method, as the one that shuffles has.
    """

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Set the number of the epoch, from 0; where a run is resumed inside an epoch, the number of that one."""
        set_epoch = getattr(getattr(train_dataloader, "dataset", None), "set_epoch", None)
        if set_epoch is not None:
            set_epoch(int(state.epoch or 0))
