"""The runs of a suite in their folder: a model each, and beside it ``run.json``, which tells what it is and scored."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from typing import Any, Literal

from hf_ext.atomic_file import atomic_write
from hf_ext.suites.suite import Suite, SuiteTask

RUN_FILE = "run.json"

State = Literal["unfinished", "failed", "finished"]


@dataclass
class Run:
    """A task trained once.

    Attributes:
        suite: its name.
        task: its name.
        seed: of the run.
        split: of the training data; None: it is not split.
        settings: all that was given: options of the job and training arguments, preset and variant.
        configuration: what tells it from runs of the task that differ in more than split and seed, as
            `configuration_of` says it.
        hyperparameters: the training arguments that a report names, defaults of the job included.
        state: how far it has come.
        error: why it failed.
        scores: of the job; of a labelled part that chooses nothing under ``"test"``.
        official: scores of the official scorer on the part that is reported, by their names.
        seconds: that training, scoring and saving took; of a resumed run since it was resumed.
        version: of this package.
        files: SHA-256 of the official files that it is made of, by their names.
    """

    suite: str
    task: str
    seed: int
    split: str | None
    settings: dict[str, Any]
    configuration: str = ""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    state: State = "unfinished"
    error: str | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    official: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    version: str | None = None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its folder below that of its task."""
        split = None if self.split is None else f"split {self.split}"
        words = ", ".join(filter(None, (self.configuration, split, f"seed {self.seed}")))
        return re.sub(r"[^\w.+]+", "-", words)

    def score(self, task: SuiteTask) -> float | None:
        """What is reported of it, in [0, 1]; None if it has not ended."""
        return None if self.state != "finished" else float({**self.scored(task), **self.official}[task.score])

    def scored(self, task: SuiteTask) -> Mapping[str, Any]:
        """The scores of the job on the part that is reported."""
        scores: Mapping[str, Any] = self.scores if task.scored == "validation" else self.scores["test"]
        return scores


def configuration_of(task: SuiteTask, settings: Mapping[str, Any]) -> str:
    """What tells runs apart that may lie in one folder: preset, variant and the options of ``apart``.

    An option is left out whose value the preset says.

    Args:
        task: of the runs.
        settings: as a run has them.
    """
    preset, variant = settings["preset"], settings["variant"]
    implied = task.presets.get(preset, {})
    said = [name for name in task.apart if settings.get(name) is not None and implied.get(name) != settings[name]]
    words = [preset, variant and f"with {variant}"]
    words += [name.replace("_", " ") + ("" if settings[name] is True else f" {settings[name]}") for name in said]
    return ", ".join(filter(None, words))


def run_folder(output: Path, run: Run) -> Path:
    """Where the model of a run is."""
    return output / run.task / run.name


def read_run(folder: Path) -> Run | None:
    """The run of a folder; None if there is none.

    Raises:
        ValueError: if its file holds something else.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        return Run(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must be as hf-ext writes it, got {error}") from error


def write_run(run: Run, folder: Path) -> None:
    """Write what a run is beside its model."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / RUN_FILE) as file:
        json.dump(asdict(run), file, ensure_ascii=False, indent=2, default=str)


def find_runs(output: Path, suite: Suite, tasks: Iterable[SuiteTask] | None = None) -> Iterator[tuple[Run, Path]]:
    """The runs of a suite with their folders, task by task in its order, by configuration, split and seed.

    Raises:
        ValueError: if there is no such folder, or it has runs of another suite.
    """
    if not output.is_dir():
        raise ValueError(f"there must be a folder of runs, as training writes it, got {output}")
    for task in suite.tasks if tasks is None else tasks:
        found = [
            (run, file.parent) for file in (output / task.name).glob(f"*/{RUN_FILE}") if (run := read_run(file.parent))
        ]
        for run, folder in sorted(found, key=lambda pair: _order(pair[0])):
            if run.suite != suite.name:
                raise ValueError(f"runs must be of the suite {suite.name}, got one of {run.suite} in {folder}")
            yield run, folder


def _order(run: Run) -> tuple[str, str, int]:
    return run.configuration, run.split or "", run.seed


def best_run(runs: Iterable[tuple[Run, Path]], task: SuiteTask) -> tuple[Run, Path] | None:
    """Of the runs of a task that have ended the one that is best on the validation file; the first of equal ones."""
    ended = [pair for pair in runs if pair[0].state == "finished"]

    def order(pair: tuple[Run, Path]) -> tuple[bool, float]:
        score = pair[0].score(task) if task.scored == "validation" else None
        score = float(pair[0].scores[task.score]) if score is None else score
        # Not a number is the least.
        return not isnan(score), score

    return max(ended, key=order, default=None)


def first_process() -> bool:
    """Whether this is the only process, or the first of several, which writes and speaks."""
    # Before training arguments are made nothing else knows.
    return os.environ.get("RANK", "0") == "0"
