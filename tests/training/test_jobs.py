"""Every job: the same run in two processes, with accumulated steps and over a break; scores of all texts."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs_in_two_processes import run
from jobs_tiny import JOBS
from launch import run_two_processes
from safetensors.torch import load_file

WORKER = Path(__file__).parents[1] / "jobs_in_two_processes.py"


@pytest.fixture(scope="module", autouse=True)
def no_curves() -> Iterator[None]:
    """Drawing takes longer than training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.plot_curves", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each job without dropout."""
    folder = tmp_path_factory.mktemp("quiet")
    for name, case in JOBS.items():
        case.write(folder / name)
    return folder


@pytest.fixture(scope="module")
def of_two(quiet: Path) -> Path:
    """The same, where two processes have run each job."""
    run_two_processes(WORKER, quiet)
    return quiet


@pytest.fixture(scope="module", params=JOBS)
def of_one(request: pytest.FixtureRequest, quiet: Path) -> tuple[str, Path]:
    """A job, and the folder that one process has run it in."""
    run(request.param, quiet / request.param, "of one")
    return request.param, quiet / request.param


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def steps(folder: Path, first: int = 1) -> list[dict[str, float]]:
    """Losses and norms of the gradients of the steps, from the given one on."""
    log = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    found = [
        {name: entry[name] for name in ("step", "loss", "grad_norm")}
        for entry in log
        if "loss" in entry and entry["step"] >= first
    ]
    assert found
    assert all(entry["grad_norm"] > 1e-3 for entry in found)
    return found


def scores(folder: Path) -> dict[str, Any]:
    """The scores, and what the model wrote where a job keeps that."""
    found = flat(json.loads((folder / "scores.json").read_text(encoding="utf-8")))
    file = folder / "summaries.jsonl"
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        found["/written"] = "|".join(json.loads(line)["written"] for line in lines).replace(" ", "")
    return found


def flat(values: Any, name: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {key: value for own in values for key, value in flat(values[own], f"{name}/{own}").items()}
    return {name: values}


def assert_same_scores(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.pop("/written", None) == wanted.pop("/written", None)
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def assert_same_run(one: Path, other: Path, first: int = 1) -> None:
    wanted = steps(one, first)
    for found, own in zip(steps(other, first), wanted, strict=True):
        assert found == pytest.approx(own, rel=1e-4, abs=1e-5)
    torch.testing.assert_close(weights(other), weights(one), rtol=1e-4, atol=1e-5)
    assert_same_scores(scores(other), scores(one))


@pytest.mark.slow
def test_two_processes_are_one(of_one: tuple[str, Path], of_two: Path) -> None:
    """Losses, gradients, weights and scores of five texts, which the processes' batches do not divide."""
    name, folder = of_one
    assert_same_run(folder / "of one", of_two / name / "of two")


def test_accumulated_steps_are_one(of_one: tuple[str, Path]) -> None:
    """Four steps of a row are one of four, unless the loss compares rows."""
    name, folder = of_one
    if JOBS[name].compares:
        return
    run(name, folder, "accumulated", accumulated=4)
    assert_same_run(folder / "of one", folder / "accumulated")


@pytest.mark.parametrize("name", JOBS)
def test_scores_are_those_of_each_text_alone(name: str, quiet: Path) -> None:
    """Whatever is said of the batches of training: here, to drop what does not fill one."""
    case, folder = JOBS[name], quiet / name
    settings = {"per_device_train_batch_size": 8, "max_steps": case.steps, "learning_rate": 5e-3}
    job = case.make(folder)
    before = copy.deepcopy(vars(job))
    job.run(case.arguments(folder / "learnt", eval_accumulation_steps=1, **settings))
    # A second run is as the first.
    assert vars(job) == before
    file = folder / "validation.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = flat(dict(case.scores(folder / "learnt", file, rows)))
    found = scores(folder / "learnt")
    # Not that nothing is found either way.
    assert any(value for key, value in wanted.items() if not key.endswith(("support", "total")))
    assert_same_scores({key: found[key] for key in wanted}, wanted)


@pytest.fixture(scope="module", params=JOBS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A job, and a folder with a run of two epochs of four steps, with dropout and checkpoints."""
    folder = tmp_path_factory.mktemp("whole") / "job"
    JOBS[request.param].write(folder, dropout=0.2)
    train(request.param, folder, "whole")
    return request.param, folder


def train(name: str, folder: Path, output: str, **more: Any) -> None:
    case = JOBS[name]
    settings = {"save_strategy": "steps", "save_steps": 3, "eval_strategy": "steps", "eval_steps": 3, **more}
    arguments = case.arguments(
        folder / output,
        per_device_train_batch_size=2,
        max_steps=8,
        learning_rate=5e-3,
        **settings,
    )
    job = case.make(folder)
    job.keep_checkpoints = True
    job.run(arguments)


def test_a_run_resumed_inside_an_epoch_is_the_whole_run(whole: tuple[str, Path]) -> None:
    """The sixth step is the second of the second epoch."""
    name, folder = whole
    train(name, folder, "resumed", resume_from_checkpoint=str(folder / "whole" / "checkpoint-6"))
    assert_same_run(folder / "whole", folder / "resumed", first=7)
