"""Where a run may write, and where it goes on from."""

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainingArguments

from hf_ext.training.run_steps import (
    check_output_dir,
    checkpoint_to_resume,
    predict_in_order,
    remove_checkpoints,
    train_with_progress,
)

STATE = ("trainer_state.json", "rng_state.pth")


def arguments(folder: Path, resume: Any = None) -> TrainingArguments:
    return TrainingArguments(str(folder), use_cpu=True, report_to="none", resume_from_checkpoint=resume)


def checkpoint(folder: Path, step: int, files: tuple[str, ...] = STATE) -> str:
    """The folder of a checkpoint with these files."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in files:
        (path / name).touch()
    return str(path)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "adapter_model.safetensors",
        "adapter_model.bin",
    ],
)
def test_a_trained_model_is_not_replaced_silently(name: str, tmp_path: Path) -> None:
    check_output_dir(arguments(tmp_path / "absent"))
    (tmp_path / "config.json").touch()
    check_output_dir(arguments(tmp_path))
    (tmp_path / name).touch()
    wanted = f"output_dir must not hold a trained model unless overwrite is given, got {tmp_path} with {name}"
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        check_output_dir(arguments(tmp_path))
    check_output_dir(arguments(tmp_path), overwrite=True)


def test_a_file_is_no_folder_to_write_into(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(ValueError, match=r"output_dir must be a folder, got the file .*train.json"):
        check_output_dir(arguments(tmp_path / "train.json"))


def test_a_run_that_was_broken_off_goes_on_or_is_replaced_on_demand(tmp_path: Path) -> None:
    last = checkpoint(tmp_path, 12)
    with pytest.raises(ValueError, match="with checkpoint-12; give resume_from_checkpoint=True to go on"):
        check_output_dir(arguments(tmp_path))
    check_output_dir(arguments(tmp_path), overwrite=True)
    for resume in (True, "True", last):
        check_output_dir(arguments(tmp_path, resume))
    # Of another folder: what is here would be replaced.
    other = checkpoint(tmp_path / "other", 3)
    with pytest.raises(ValueError, match="must not hold a trained model"):
        check_output_dir(arguments(tmp_path, other))
    check_output_dir(arguments(tmp_path / "new", other))


@pytest.mark.parametrize("given", [True, "True", "true"])
def test_the_last_complete_checkpoint_is_the_one_to_resume(given: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"must find a checkpoint in output_dir, got {given} and none in {tmp_path}"):
        check_output_dir(arguments(tmp_path / "absent", given))
    checkpoint(tmp_path, 9)
    wanted = checkpoint(tmp_path, 100)
    # Killed while it was written, and one of weights alone.
    checkpoint(tmp_path, 200, ("model.safetensors", "rng_state.pth"))
    checkpoint(tmp_path, 300, ("model.safetensors", "trainer_state.json"))
    assert checkpoint_to_resume(arguments(tmp_path, given)) == wanted


def test_other_values_of_resume_from_checkpoint(tmp_path: Path) -> None:
    for none in (None, False, "False"):
        assert checkpoint_to_resume(arguments(tmp_path, none)) is None
    weights = checkpoint(tmp_path, 5, ("model.safetensors", "trainer_state.json"))
    for wrong in (weights, str(tmp_path / "absent")):
        with pytest.raises(ValueError, match=rf"must be True or the folder of a checkpoint .*, got {wrong}"):
            checkpoint_to_resume(arguments(tmp_path, wrong))


@pytest.mark.parametrize("own", [False, True])
def test_checkpoints_of_a_replaced_run_go(own: bool, tmp_path: Path) -> None:
    """Else Trainer would take them for later ones of its own, and delete the new ones."""
    folders = [checkpoint(tmp_path / "run", step) for step in (100, 200)]
    resume = folders[0] if own else checkpoint(tmp_path / "other", 1)
    given: list[Any] = []
    trainer: Any = SimpleNamespace(
        args=SimpleNamespace(output_dir=str(tmp_path / "run"), resume_from_checkpoint=resume, disable_tqdm=True),
        is_world_process_zero=lambda: True,
        model=None,
        train=lambda resume_from_checkpoint: given.append(resume_from_checkpoint),
    )
    train_with_progress(trainer, "f1")
    assert given == [resume]
    assert [Path(folder).is_dir() for folder in folders] == [own, own]


def test_an_ended_run_leaves_no_checkpoints(tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path, step) for step in (5, 10)]
    (tmp_path / "checkpoints.txt").touch()
    for first in (False, True):
        arguments = SimpleNamespace(output_dir=str(tmp_path))
        trainer: Any = SimpleNamespace(args=arguments, is_world_process_zero=partial(bool, first))
        remove_checkpoints(trainer)
        assert [Path(folder).is_dir() for folder in folders] == [not first] * 2
    assert (tmp_path / "checkpoints.txt").exists()


def test_predictions_are_as_many_as_rows() -> None:
    trainer: Any = SimpleNamespace(predict=lambda rows: SimpleNamespace(predictions=([1, 2], [3, 4])))
    rows: Any = ["a", "b"]
    assert predict_in_order(trainer, rows) == ([1, 2], [3, 4])
    rows = ["a", "b", "c"]
    with pytest.raises(RuntimeError, match="predictions must be as many as rows, 3, got 2"):
        predict_in_order(trainer, rows)
