"""Trainer as jobs use it: every text of an evaluation is scored once, and a resumed run is the run without a break."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PreTrainedModel, Seq2SeqTrainer, Trainer, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from hf_ext.auto_map import mark_code
from hf_ext.carried_code import THIN
from hf_ext.training.sharding import check_sharded, shard_by_blocks
from hf_ext.transformers_private import forget_preparation

# Fields under which scores would not be those of the texts as the saved model reads them.
_WANTED: dict[str, tuple[Any, str]] = {
    "prediction_loss_only": (False, "scores are made of predictions"),
    "eval_do_concat_batches": (True, "scores are made of the predictions of all batches"),
    "eval_use_gather_object": (False, "predictions are tensors"),
    "fp16_full_eval": (False, "weights would be trained and saved as an evaluation casts them; use fp16"),
    "bf16_full_eval": (False, "weights would be trained and saved as an evaluation casts them; use bf16"),
}


class JobTrainer(Trainer):
    """Trainer whose scores are of all texts, and whose result does not depend on breaks and processes.

    What is said of training batches (``dataloader_drop_last``, ``train_sampling_strategy``) does not drop rows of an
    evaluation or put predictions in another order. "group_by_length" draws the order of an epoch from the seed and the
    number of the epoch, over the rows of all processes. Several processes train one model after an evaluation too.

    Args:
        model: Trainer's.
        args: Trainer's.
        *rest: Trainer's.
        smooths_labels: whether ``label_smoothing_factor`` has an effect on the loss.
        **kwargs: Trainer's.

    Raises:
        ValueError: if ``args`` ask for what the loss or the scores cannot be made with.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        *rest: Any,
        smooths_labels: bool = False,
        **kwargs: Any,
    ) -> None:
        if args is not None:
            _check_arguments(args, smooths_labels)
        super().__init__(model, args, *rest, **kwargs)
        check_sharded(self.args, self.accelerator.state)
        if isinstance(self.model, PreTrainedModel):
            # Every checkpoint says by itself what it takes to load it.
            mark_code(self.model, self.processing_class, THIN)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As Trainer's."""
        if self.model_wrapped is self.model and not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            # An evaluation leaves a mark on the model, for which Accelerate would not prepare it for training: several
            # processes would train a model each.
            forget_preparation(self.model)
        if self.is_fsdp_enabled and self.model is not None:
            shard_by_blocks(self.model, self.accelerator.state.fsdp_plugin)
        return super().train(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As Trainer's, but without an upload, which comes when all is written that goes with the model."""
        super().save_model(output_dir, _internal_call=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """As Trainer's, of all rows."""
        with self._training_batches(dataloader_drop_last=False):
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Dataset[Any]) -> DataLoader[Any]:
        """As Trainer's, of all rows in their order."""
        with self._training_batches(dataloader_drop_last=False, train_sampling_strategy="sequential"):
            return super().get_test_dataloader(test_dataset)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """As Trainer's, without those that a model says are not to decay (``no_weight_decay``)."""
        spared = {name for module in model.modules() for name in getattr(module, "no_weight_decay", ())}
        names = super().get_decay_parameter_names(model)
        return [name for name in names if name.rpartition(".")[2] not in spared]

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """As Trainer's, but not of weights that are tied to others, which no checkpoint repeats."""
        tied = set(getattr(self.model, "all_tied_weights_keys", None) or ())
        load_result.missing_keys[:] = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(load_result)

    @contextmanager
    def _training_batches(self, **fields: Any) -> Iterator[None]:
        """Give arguments that Trainer takes for evaluations too these values for a while."""
        kept = {name: getattr(self.args, name) for name in fields}
        for name, value in fields.items():
            setattr(self.args, name, value)
        try:
            yield
        finally:
            for name, value in kept.items():
                setattr(self.args, name, value)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        sampler: Sampler[int] | None = super()._get_train_sampler(train_dataset)
        if not isinstance(sampler, LengthGroupedSampler):
            return sampler
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        # A resumed run has not yet read its state when samplers are made.
        return EpochSampler(
            sampler.lengths,
            self.get_total_train_batch_size(self.args),
            lambda: seed + int(self.state.epoch or 0),
        )


class JobSeq2SeqTrainer(JobTrainer, Seq2SeqTrainer):
    """`JobTrainer` that evaluates what a model generates."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, smooths_labels=True, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """As Trainer's, without the rows that fill up the last batches of several processes."""
        # Seq2SeqTrainer has chosen accelerator.gather, which keeps them.
        self.gather_function = self.accelerator.gather_for_metrics
        return super().evaluation_loop(*args, **kwargs)


class EpochSampler(LengthGroupedSampler):
    """Groups rows by length, in an order of each epoch that depends on nothing but a number.

    Args:
        lengths: of the rows.
        batch_size: rows that are to be of like length.
        seed: gives the number whenever an epoch begins.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: Callable[[], int]):
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        # Trainer's would draw from torch's own generator, which a checkpoint restores as it stood within an epoch, and
        # which stands elsewhere in each process.
        self.generator = torch.Generator().manual_seed(self.seed())
        return iter(super().__iter__())


def _check_arguments(arguments: TrainingArguments, smooths_labels: bool) -> None:
    if arguments.label_smoothing_factor and not smooths_labels:
        raise ValueError(
            "label_smoothing_factor must be 0 with this loss, which does not smooth labels, got "
            f"{arguments.label_smoothing_factor}"
        )
    if arguments.label_names not in (None, ["labels"]):
        raise ValueError(f"label_names must be left out or labels, got {', '.join(arguments.label_names or ())}")
    for name, (wanted, reason) in _WANTED.items():
        seen = getattr(arguments, name)
        if seen != wanted:
            raise ValueError(f"{name} must be {wanted}, as {reason}, got {seen}")
    accelerator: Any = arguments.accelerator_config
    if not accelerator.even_batches:
        raise ValueError("accelerator_config must have even_batches, as processes score batches together, got False")
