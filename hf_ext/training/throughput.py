"""How fast a training is: tokens a second, and the share of what the processor can do at most."""

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def matmul_peak(dtype: torch.dtype, device: torch.device, seconds: float = 0.3) -> float:
    """Operations a second of the fastest of a few large matrix products, with the threads that PyTorch has.

    Args:
        dtype: of the matrices.
        device: where they lie.
        seconds: for how long to try; twice at least.
    """
    size = 2048 if device.type == "cpu" else 8192
    # Nothing that is drawn: a training goes on with the numbers that come next.
    matrix = torch.full((size, size), 0.5, dtype=dtype, device=device)
    times: list[float] = []
    end = time.perf_counter() + seconds
    # The first product also sets up what later ones find there.
    while len(times) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        matrix @ matrix
        _wait(device)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def flop_counter() -> FlopCounterMode:
    """Counts the operations of the matrix products within its block, attention's on CPUs among them."""
    aten: Any = torch.ops.aten
    kernel = aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(
        display=False,
        custom_mapping={
            kernel: lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value),
            aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda grad, query, key, value, *_, **__: (
                sdpa_backward_flop_count(grad, query, key, value)
            ),
        },
    )


def tokens_of(batch: dict[str, Any]) -> int:
    """Real tokens of a batch: of its inputs, and of the targets of a decoder that has inputs of its own."""
    mask = batch.get("attention_mask")
    inputs = batch["input_ids"].numel() if mask is None else int(mask.sum())
    return inputs + (int((batch["labels"] != -100).sum()) if "decoder_input_ids" in batch else 0)


class StepClock(TrainerCallback):
    """Counts the seconds that go into steps, with the wait for their batches, without evaluations and checkpoints."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = time.perf_counter()

    def take(self) -> float:
        """The seconds since it was asked last."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def restart(self) -> None:
        """Leave out what has passed."""
        self._last = time.perf_counter()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin."""
        self.seconds = 0.0
        self.restart()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count a step."""
        _wait(args.device)
        now = time.perf_counter()
        self.seconds, self._last = self.seconds + now - self._last, now

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Leave the evaluation out."""
        self.restart()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Leave the checkpoint out."""
        self.restart()


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
