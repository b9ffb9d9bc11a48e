"""The steps of a run with Trainer that all jobs take: train with progress, predict in order, save with scores."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_callback import ProgressCallback as DefaultProgressCallback

from hf_ext.atomic_file import atomic_write
from hf_ext.training.curves import plot_curves
from hf_ext.training.progress import ProgressCallback


def show_progress(trainer: Trainer, metric: str) -> None:
    """Show our progress, with the metric of each evaluation, where a progress is wanted."""
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(DefaultProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(ProgressCallback(metric=metric))


def train_with_progress(trainer: Trainer, metric: str) -> None:
    """Train, from a checkpoint if the arguments name one."""
    show_progress(trainer, metric)
    trainer.train(resume_from_checkpoint=trainer.args.resume_from_checkpoint)


def predict_in_order(trainer: Trainer, rows: Dataset) -> Any:
    """Predictions in the order of the rows: Trainer groups those of an evaluation by length as well, if asked to."""
    arguments = trainer.args
    sampling, arguments.train_sampling_strategy = arguments.train_sampling_strategy, "random"
    predictions = trainer.predict(rows).predictions
    arguments.train_sampling_strategy = sampling
    return predictions


def save_run(trainer: Trainer, scores: Mapping[str, Any], metric: str) -> None:
    """Save the model, ``scores.json`` and ``curves.png``."""
    trainer.save_model()
    trainer.save_state()
    if trainer.is_world_process_zero():
        output = Path(str(trainer.args.output_dir))
        with atomic_write(output / "scores.json") as file:
            json.dump(scores, file, ensure_ascii=False, indent=2)
        plot_curves(trainer.state.log_history, output / "curves.png", metric=metric)
