"""Progress of a training run in the terminal, and what is said beside it."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.training.curves import sparkline


def say(line: str) -> None:
    """Print a line on standard error as it is: nothing in it is markup, and it is not broken."""
    Console(stderr=True, highlight=False, markup=False, emoji=False).print(line, soft_wrap=True)


class ProgressCallback(TrainerCallback):
    """A progress bar with loss, learning rate and the last evaluation, a line for each evaluation, and the curves.

    It takes the place of Trainer's own, which prints dictionaries:
    ``trainer.remove_callback(transformers.trainer_callback.ProgressCallback)``.

    Args:
        metric: the metric of an evaluation to show, as in ``eval_<metric>``.
        console: where to write; None: standard error, so that results on standard output stay clean.
    """

    def __init__(self, metric: str = "f1", console: Console | None = None):
        self.metric = metric
        self.console = console or Console(stderr=True)
        self.progress: Progress | None = None
        self.losses: list[float] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show the bar, in the first process only."""
        if not state.is_world_process_zero:
            return
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )
        self.task = self.progress.add_task("", total=state.max_steps, completed=state.global_step, note="")
        self.progress.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar."""
        if self.progress is not None:
            self.progress.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note the loss beside the bar."""
        if self.progress is not None and logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))
            note = f"loss {self.losses[-1]:.4f}  lr {float(logs.get('learning_rate', 0)):.1e}{speed(logs)}"
            self.progress.update(self.task, note=note)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Print a line for the evaluation."""
        score = (metrics or {}).get(f"eval_{self.metric}")
        if self.progress is not None and score is not None:
            loss = f"  loss {self.losses[-1]:.4f}" if self.losses else ""
            # Of a stream an epoch is all steps that were asked for.
            when = f"of {args.max_steps}" if args.max_steps > 0 else f"(epoch {state.epoch or 0:.1f})"
            self.progress.console.print(f"step {state.global_step} {when}{loss}  {self.metric} {score:.4f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar and draw the curves."""
        if self.progress is None:
            return
        self.progress.stop()
        if self.losses:
            self._draw("loss", self.losses, self.losses[-1])
        name = f"eval_{self.metric}"
        # With those before a break that the run was resumed from.
        evaluations = [entry for entry in state.log_history if name in entry]
        if evaluations:
            last, kept = evaluations[-1], evaluations[-1]
            if args.load_best_model_at_end:
                # That of the model that is saved, and scored hereafter.
                kept = next((entry for entry in evaluations if entry["step"] == state.best_global_step), last)
            note = "" if kept is last else f" (step {kept['step']}, the best; the last {last[name]:.4f})"
            self._draw(self.metric, [float(entry[name]) for entry in evaluations], kept[name], note)
        self.progress = None

    def _draw(self, name: str, values: Sequence[float], kept: float, note: str = "") -> None:
        assert self.progress is not None
        line = f"{name:>5} {sparkline(values)} {values[0]:.4f} → {kept:.4f}{note}"
        self.progress.console.print(line, markup=False, highlight=False)


def speed(logs: dict[str, Any]) -> str:
    """What a log says of the speed of a streamed training; nothing of one that does not measure it."""
    if "tokens_per_second" not in logs:
        return ""
    share = f", {float(logs['share_of_peak']):.0%} of peak" if "share_of_peak" in logs else ""
    return f"  {float(logs['tokens_per_second']):,.0f} tokens/s{share}"
