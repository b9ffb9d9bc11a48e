"""The steps of a run with Trainer that all jobs take: check the folder, train, predict in order, save with scores."""

import json
import shutil
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, ProgressCallback as DefaultProgressCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy, sort_checkpoints
from transformers.utils import (
    ADAPTER_SAFE_WEIGHTS_NAME,
    ADAPTER_WEIGHTS_NAME,
    CONFIG_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
)

from hf_ext.atomic_file import atomic_write
from hf_ext.training.curves import save_curves
from hf_ext.training.model_card.callback import write_card
from hf_ext.training.model_card.facts import CardFacts
from hf_ext.training.progress import ProgressCallback

_WEIGHTS = (
    SAFE_WEIGHTS_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    ADAPTER_SAFE_WEIGHTS_NAME,
    ADAPTER_WEIGHTS_NAME,
)


def check_output_dir(arguments: TrainingArguments, overwrite: bool = False) -> None:
    """Refuse to replace what was trained before; to be called before anything is read.

    A run that goes on from a checkpoint of its own folder may write there, whatever else the folder holds.

    Args:
        arguments: of the training.
        overwrite: whether a model and checkpoints in ``output_dir`` may be replaced.

    Raises:
        ValueError: if ``output_dir`` is a file, if there is a model or a checkpoint in it, or none where the run is to
            be resumed from.
    """
    folder = Path(str(arguments.output_dir))
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output_dir must be a folder, got the file {folder}")
    checkpoint = checkpoint_to_resume(arguments)
    if overwrite or _is_within(checkpoint, folder):
        return
    last = _last_checkpoint(folder)
    kept = next((name for name in _WEIGHTS if (folder / name).exists()), None) or (last and Path(last).name)
    if kept:
        resume = "; give resume_from_checkpoint=True to go on from its last checkpoint" if last else ""
        raise ValueError(
            f"output_dir must not hold a trained model unless overwrite is given, got {folder} with {kept}{resume}"
        )


def checkpoint_to_resume(arguments: TrainingArguments) -> str | None:
    """The folder of the checkpoint that ``resume_from_checkpoint`` means; None: start anew.

    The argument is a folder, or ``True`` (on the command line the word) for the last checkpoint of ``output_dir``.

    Raises:
        ValueError: if there is no such checkpoint.
    """
    given: Any = arguments.resume_from_checkpoint
    if given is None or str(given).lower() == "false":
        return None
    if str(given).lower() == "true":
        last = _last_checkpoint(Path(str(arguments.output_dir)))
        if last is None:
            raise ValueError(
                f"resume_from_checkpoint must find a checkpoint in output_dir, got {given} and none in "
                f"{arguments.output_dir}; a run that has ended leaves none unless keep_checkpoints is given"
            )
        return last
    if not _is_complete(Path(given)):
        raise ValueError(
            "resume_from_checkpoint must be True or the folder of a checkpoint with the state of its run, which "
            f"save_only_model leaves out, got {given}"
        )
    return str(given)


def show_progress(trainer: Trainer, metric: str) -> None:
    """Show our progress, with the metric of each evaluation, where a progress is wanted; once, if called again."""
    if not trainer.args.disable_tqdm:
        for callback in (DefaultProgressCallback, PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.add_callback(ProgressCallback(metric=metric))


def measure_before(trainer: Trainer, metric: str) -> float:
    """The metric of an evaluation before training."""
    show_progress(trainer, metric)
    return float(trainer.evaluate()[f"eval_{metric}"])


def for_evaluation(arguments: TrainingArguments) -> TrainingArguments:
    """The same arguments, without what Trainer would do while it trains: evaluate, save, upload."""
    own = copy(arguments)
    own.eval_strategy, own.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
    own.do_eval = own.load_best_model_at_end = own.push_to_hub = False
    return own


def train_with_progress(trainer: Trainer, metric: str) -> None:
    """Train, from a checkpoint if the arguments name one.

    Checkpoints in ``output_dir`` of a run that is not the one resumed go: `check_output_dir` has seen to it that they
    may, and Trainer would take them for later ones of its own.

    Raises:
        ValueError: if the checkpoint is of a model with other labels, or with these in another order.
    """
    show_progress(trainer, metric)
    checkpoint = checkpoint_to_resume(trainer.args)
    if checkpoint is not None:
        _check_labels(trainer.model, Path(checkpoint))
    folder = Path(str(trainer.args.output_dir))
    if not _is_within(checkpoint, folder):
        remove_checkpoints(trainer)
    trainer.train(resume_from_checkpoint=checkpoint)


def _check_labels(model: Any, checkpoint: Path) -> None:
    """Raise ValueError if a checkpoint has other labels, whose weights would be taken for those of the model's."""
    config = checkpoint / CONFIG_NAME
    # Of adapters there is none.
    before = json.loads(config.read_text(encoding="utf-8")).get("id2label") if config.is_file() else None
    labels = getattr(getattr(model, "config", None), "id2label", None) or {}
    own = {str(number): label for number, label in labels.items()}
    if not before or not own or before == own:
        return
    number = next(number for number in {**own, **before} if before.get(number) != own.get(number))
    raise ValueError(
        "resume_from_checkpoint must be a checkpoint of a model with the same labels in the same order, got "
        f"{before.get(number)!r} for {own.get(number)!r} as the label {number} in {checkpoint}"
    )


def predict_in_order(trainer: Trainer, rows: Dataset) -> Any:
    """Predictions of all rows in their order, as `JobTrainer` makes them.

    Raises:
        RuntimeError: if they are not as many as the rows.
    """
    predictions = trainer.predict(rows).predictions
    first = predictions[0] if isinstance(predictions, tuple) else predictions
    if len(first) != len(rows):
        raise RuntimeError(f"predictions must be as many as rows, {len(rows)}, got {len(first)}")
    return predictions


def save_run(trainer: Trainer, scores: Mapping[str, Any], metric: str, card: CardFacts | None = None) -> None:
    """Save the model, ``scores.json``, README.md from the facts of a card and, with matplotlib, ``curves.png``."""
    trainer.save_model()
    trainer.save_state()
    if trainer.is_world_process_zero():
        output = Path(str(trainer.args.output_dir))
        with atomic_write(output / "scores.json") as file:
            json.dump(scores, file, ensure_ascii=False, indent=2)
        save_curves(trainer.state.log_history, output / "curves.png", metric)
        write_card(trainer, card or CardFacts())


def remove_checkpoints(trainer: Trainer) -> None:
    """Remove the checkpoints of a run that has ended and is saved."""
    if trainer.is_world_process_zero():
        for each in sort_checkpoints(str(trainer.args.output_dir)):
            shutil.rmtree(each)


def _last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that is complete."""
    complete = [each for each in sort_checkpoints(str(folder)) if _is_complete(Path(each))]
    return complete[-1] if complete else None


def _is_complete(checkpoint: Path) -> bool:
    # Trainer writes this file last, and the generators' states unless the checkpoint is to hold weights alone.
    return (checkpoint / TRAINER_STATE_NAME).is_file() and any(checkpoint.glob("rng_state*.pth"))


def _is_within(checkpoint: str | None, folder: Path) -> bool:
    return checkpoint is not None and Path(checkpoint).resolve().parent == folder.resolve()
