"""Trainer over a stream: it goes on where a checkpoint was made, and says how fast it is."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState

from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.streamed_batches import PLACE, Place, StreamedBatches
from hf_ext.training.throughput import StepClock, flop_counter, matmul_peak, tokens_of


class StreamPlace(TrainerCallback, ExportableState):
    """The place of a run in its stream, which checkpoints keep in ``trainer_state.json``.

    Attributes:
        place: that of the next batch, as a list.
    """

    def __init__(self) -> None:
        self.place: list[int] = list(Place())

    def state(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"args": {}, "attributes": {"place": self.place}}


class StreamTrainer(JobTrainer):
    """`JobTrainer` that trains on `StreamedBatches`.

    A run that goes on from a checkpoint reads nothing of what lies before it in the stream but the block of examples
    that it stopped in. Other batches and another number of processes may go on from there too.

    Logs have ``tokens_per_second`` of all processes, and ``share_of_peak``: the operations of matrix products that a
    token takes, counted in the first step, over those that the processor does in one large product of the same type,
    measured before it, and the former as ``operations_per_token``.

    Args:
        model: Trainer's.
        args: Trainer's.
        *rest: Trainer's.
        **kwargs: Trainer's; ``train_dataset`` is a `StreamedBatches`.

    Raises:
        ValueError: if ``args`` do not say how many steps there are to be, have more than one worker, which would not
            give the batches of one, or would try sizes of batches.
    """

    def __init__(
        self, model: nn.Module | None = None, args: TrainingArguments | None = None, *rest: Any, **kwargs: Any
    ) -> None:
        assert args is not None
        check_stream_arguments(args)
        super().__init__(model, args, *rest, **kwargs)
        self._place, self._clock = StreamPlace(), StepClock()
        self.add_callback(self._place)
        self.add_callback(self._clock)
        self._tokens = 0
        self.peak: float | None = None
        self.flops_per_token: float | None = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The batches as the stream makes them, each for its process."""
        batches: Any = self.train_dataset
        workers = self.args.dataloader_num_workers
        # Not prepared by Accelerate, which would share out among processes what is shared out.
        return DataLoader(
            batches,
            batch_size=None,
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory,
            prefetch_factor=self.args.dataloader_prefetch_factor if workers else None,
        )

    def train(self, resume_from_checkpoint: Any = None, *rest: Any, **kwargs: Any) -> Any:
        """As Trainer's, from the checkpoint's place in the stream.

        Raises:
            ValueError: if the checkpoint has no place.
        """
        batches: Any = self.train_dataset
        assert isinstance(batches, StreamedBatches)
        batches.go_on(Place(), 0)
        if resume_from_checkpoint is not None:
            state = TrainerState.load_from_json(str(Path(resume_from_checkpoint, TRAINER_STATE_NAME)))
            known: Any = (state.stateful_callbacks or {}).get(StreamPlace.__name__)
            if known is None:
                raise ValueError(
                    f"resume_from_checkpoint must be a checkpoint of a streamed run, got {resume_from_checkpoint}, "
                    "which says no place in a stream"
                )
            passed = state.global_step % self.args.max_steps * self.args.gradient_accumulation_steps
            batches.go_on(Place(*known["attributes"]["place"]), 0 if self.args.ignore_data_skip else passed)
        return super().train(resume_from_checkpoint, *rest, **kwargs)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **kwargs: Any) -> Tensor:
        """As Trainer's; it keeps the place in the stream, and counts tokens."""
        self._place.place = inputs.pop(PLACE).tolist()
        tokens = tokens_of(inputs)
        counter = nullcontext()
        # A graph is counted as little as it would be the same under a counter.
        if self.flops_per_token is None and not self.args.torch_compile:
            self.peak = matmul_peak(self._dtype, self.args.device)
            self._clock.restart()
            counter = flop_counter()  # type: ignore[assignment]
        with counter as counted:
            loss: Tensor = super().training_step(model, inputs, *rest, **kwargs)
        if counted is not None:
            self.flops_per_token = counted.get_total_flops() / tokens
        self._tokens += tokens
        return loss

    def log(self, logs: dict[str, float], *rest: Any, **kwargs: Any) -> None:
        """As Trainer's, with the speed since the last loss."""
        if "loss" in logs:
            logs.update(self._speed())
        super().log(logs, *rest, **kwargs)

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else torch.float32

    def _speed(self) -> dict[str, float]:
        seconds, tokens, self._tokens = self._clock.take(), self._tokens, 0
        rate = tokens / seconds if seconds else 0.0
        share = rate * self.flops_per_token / self.peak if self.flops_per_token and self.peak else 0.0
        speeds: Any = self.accelerator.gather(torch.tensor([[rate, share]], device=self.args.device))
        found = {"tokens_per_second": round(float(speeds[:, 0].sum()), 1)}
        if self.flops_per_token and self.peak:
            found["share_of_peak"] = round(float(speeds[:, 1].mean()), 4)
            found["operations_per_token"] = round(self.flops_per_token)
        return found


def check_stream_arguments(arguments: TrainingArguments) -> None:
    """Refuse arguments that a stream cannot be trained by.

    Raises:
        ValueError: naming the argument.
    """
    if arguments.max_steps <= 0:
        raise ValueError(
            "max_steps must be given, as nobody knows how long a stream is, and the learning rate goes by it; got "
            f"{arguments.max_steps}"
        )
    if arguments.dataloader_num_workers > 1:
        raise ValueError(
            "dataloader_num_workers must be 0 or 1, as several would not give the rows of a stream in their order, got "
            f"{arguments.dataloader_num_workers}"
        )
    if arguments.auto_find_batch_size:
        raise ValueError("auto_find_batch_size must be False, as batches are made before they are tried, got True")
