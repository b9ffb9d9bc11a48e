"""A search for the options that a job scores best with, by Trainer's own search: each trial is a run, made anew."""

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn
from transformers import Trainer, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import sort_checkpoints

from hf_ext.atomic_file import atomic_write
from hf_ext.extras import extra
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.run_start import tell
from hf_ext.tasks.base.search_space import SearchSpace
from hf_ext.training.model_card.readme import rename_card
from hf_ext.training.run_steps import check_output_dir, for_evaluation

if TYPE_CHECKING:
    from hf_ext.tasks.base.job import Job

TRIALS_FILE = "trials.json"
"""Beside a model that a search chose: what it tried, and how good that was."""
_TRIALS = "trials"
_CARD = "README.md"


@dataclass(kw_only=True)
class SearchOptions:
    """What is searched; nothing unless ``search_trials`` is given."""

    search: Mapping[str, Any] = option(
        "An option and what it may be, as learning_rate=1e-5:1e-3:log, max_length=64:256:32 or num_train_epochs=3,5; "
        "may be given several times. Else learning_rate, to five times more or less, and weight_decay.",
        group="Search",
        default_factory=dict,
    )
    search_trials: int | None = option(
        "Search for hyperparameters by Optuna (extra search): train so often, each time with values that it chooses by "
        "the scores so far, and keep the best model.",
        None,
        group="Search",
    )

    is_trial: ClassVar[bool] = False
    """Whether the job is a trial of a search."""

    def check_search(self) -> None:
        """Raise ValueError for an option without effect, or a number of trials that is none."""
        if self.search and self.search_trials is None:
            raise ValueError(f"search goes with search_trials, got {dict(self.search)} without it")
        if self.search_trials is not None and self.search_trials < 1:
            raise ValueError(f"search_trials must be at least 1, got {self.search_trials}")

    @property
    def searches(self) -> bool:
        """Whether its run is to be a search."""
        return self.search_trials is not None and not self.is_trial


SEARCH_OPTIONS = tuple(one.name for one in fields(SearchOptions))
"""The names of these options."""


def run_search(job: "Job", arguments: TrainingArguments) -> dict[str, Any]:
    """Run the trials of a job in ``trials`` of its output folder, and leave the best there as the run of a job does.

    A trial is a whole run: model, head, methods and callbacks are made anew, with the seed of ``arguments``, which also
    is that of what Optuna draws. Of the trials that have ended the best alone is kept, so that there are two models at
    a time at most. ``trials.json`` is written after each.

    Args:
        job: with what to search.
        arguments: of each trial, but for what is searched.

    Returns:
        The scores of the best run.

    Raises:
        MissingExtraError: if Optuna is not installed.
        ValueError: if something does not go with a search, or no trial has a score.
    """
    with extra("search", "a hyperparameter search"):
        import optuna
    _check(job, arguments)
    trials = job.search_trials or 1
    space = SearchSpace(job, job.search or _usual(arguments))
    search = _Search(job, arguments, space)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        _Trials(search).hyperparameter_search(
            hp_space=space.values,
            n_trials=trials,
            direction="maximize" if arguments.greater_is_better else "minimize",
            backend="optuna",
            # What a run held on a GPU is free before the next.
            gc_after_trial=True,
            sampler=optuna.samplers.TPESampler(seed=arguments.seed),
        )
    except ValueError:
        # Optuna asks for the best trial at the end; where none has a score, `finish` says so.
        if search.best is not None or len(search.trials) < trials:
            raise
    finally:
        optuna.logging.set_verbosity(verbosity)
    return search.finish()


class _Trials(Trainer):
    """Trainer for its search alone: what it trains is a whole run of a job."""

    def __init__(self, search: "_Search"):
        self.search = search
        own = for_evaluation(search.arguments)
        own.report_to = []
        # There has to be a model, which goes on no device and learns nothing.
        super().__init__(model_init=_nothing, args=own)

    def train(self, resume_from_checkpoint: Any = None, trial: Any = None, ignore_keys_for_eval: Any = None) -> Any:
        """Run the job with the values of a trial."""
        self.objective: float = self.search.run(trial.number + 1, self.hp_space(trial))


def _nothing() -> Any:
    return nn.Identity()


class _Search:
    """The runs of a search, of which the best is kept."""

    def __init__(self, job: "Job", arguments: TrainingArguments, space: SearchSpace):
        self.job, self.arguments, self.space = job, arguments, space
        self.folder = Path(str(arguments.output_dir))
        self.metric = str(arguments.metric_for_best_model).removeprefix("eval_")
        self.trials: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.scores: dict[str, Any] = {}

    def run(self, number: int, values: Mapping[str, Any]) -> float:
        """The score of a run with these values, whose number counts from 1; of values tried before, what they had."""
        told = ", ".join(f"{name}={_text(value)}" for name, value in values.items())
        tell(self.arguments, f"trial {number} of {self.job.search_trials}: {told}")
        began = time.monotonic()
        before = next((one for one in self.trials if one["values"] == _as_json(values)), None)
        score, scores = (before["score"], None) if before else self._run(number, values)
        row = {"trial": number, "values": _as_json(values), "score": score, "seconds": time.monotonic() - began}
        self.trials.append(row)
        if before is None:
            self._keep(row, scores)
        self._write()
        best = "none yet" if self.best is None else f"{self.best['score']:.4f} of trial {self.best['trial']}"
        shown = "no number" if score is None else f"{score:.4f}"
        tell(self.arguments, f"trial {number} of {self.job.search_trials}: {self.metric} {shown}; best {best}")
        return math.nan if score is None else float(score)

    def finish(self) -> dict[str, Any]:
        """Put the best run in place of the search.

        Raises:
            ValueError: if there is none.
        """
        if self.best is None:
            (self.folder / _TRIALS).rmdir()
            raise ValueError(f"a trial must have {self.metric} among its scores, got none of {len(self.trials)}")
        for each in sort_checkpoints(str(self.folder)):
            shutil.rmtree(each)
        kept = self._place(self.best["trial"])
        for file in kept.iterdir():
            target = self.folder / file.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(file, target)
        shutil.rmtree(self.folder / _TRIALS)
        rename_card(self.folder, self.folder.resolve().name)
        self._write()
        return self.scores

    def _run(self, number: int, values: Mapping[str, Any]) -> tuple[float | None, dict[str, Any]]:
        place = self._place(number)
        place.mkdir(parents=True)
        card = self.folder / _CARD
        if card.is_file():
            # What somebody added to it is kept.
            shutil.copy(card, place / _CARD)
        of_job = {name: value for name, value in values.items() if self.space.is_of_job(name)}
        job = replace(self.job, **of_job)
        job.is_trial = True  # type: ignore[misc]
        # Made anew, as some follow from others: the precision of Accelerate from ``bf16``.
        of_trainer = {name: value for name, value in values.items() if name not in of_job}
        scores = job.run(replace(self.arguments, output_dir=str(place), **of_trainer))
        return self._score(scores, place), scores

    def _score(self, scores: Mapping[str, Any], place: Path) -> float | None:
        """What a run is judged by: of its scores, or else of what Trainer logged last of the model that is kept."""
        value = scores.get(self.metric)
        if value is None:
            state = json.loads((place / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
            logged = [row[f"eval_{self.metric}"] for row in state["log_history"] if f"eval_{self.metric}" in row]
            kept_best = self.arguments.load_best_model_at_end and state["best_metric"] is not None
            value = state["best_metric"] if kept_best else (logged or [None])[-1]
        return None if value is None or not math.isfinite(value) else float(value)

    def _keep(self, row: dict[str, Any], scores: Any) -> None:
        """Keep a run that is the best so far, and remove what it surpasses; or else remove it."""
        score, best = row["score"], self.best
        sign = 1 if self.arguments.greater_is_better else -1
        better = score is not None and (best is None or sign * score > sign * best["score"])
        worse = best if better else row
        if better:
            self.best, self.scores = row, scores
        if worse is not None:
            shutil.rmtree(self._place(worse["trial"]))

    def _write(self) -> None:
        said = {
            "metric": self.metric,
            "greater_is_better": bool(self.arguments.greater_is_better),
            "seed": self.arguments.seed,
            "best": None if self.best is None else self.best["trial"],
            "trials": self.trials,
        }
        with atomic_write(self.folder / TRIALS_FILE) as file:
            json.dump(said, file, ensure_ascii=False, indent=1)

    def _place(self, number: int) -> Path:
        return self.folder / _TRIALS / str(number)


def _check(job: "Job", arguments: TrainingArguments) -> None:
    """Raise ValueError for what does not go with a search, before anything is read."""
    for name, seen in (
        ("resume_from_checkpoint", arguments.resume_from_checkpoint),
        ("push_to_hub", arguments.push_to_hub),
    ):
        if seen and str(seen).lower() != "false":
            raise ValueError(f"{name} must be left out with search_trials, got {seen}")
    if arguments.world_size > 1:
        raise ValueError(f"search_trials must run in one process, got {arguments.world_size}")
    if not arguments.metric_for_best_model:
        raise ValueError("metric_for_best_model must be given with search_trials, which is by it, got none")
    check_output_dir(arguments, job.overwrite)
    trials = Path(str(arguments.output_dir)) / _TRIALS
    if trials.is_symlink() or (trials.exists() and not trials.is_dir()):
        raise ValueError(f"{_TRIALS} in output_dir must be a folder or not there, got {trials}, which no search made")
    if trials.exists():
        if not job.overwrite:
            seen = "its best run is in it" if any(trials.iterdir()) else "it is in the way"
            raise ValueError(f"output_dir must not hold a search that was broken off, got {trials}: {seen}")
        shutil.rmtree(trials)


def _usual(arguments: TrainingArguments) -> dict[str, str]:
    """What is searched where nothing is said."""
    rate = arguments.learning_rate
    return {"learning_rate": f"{rate / 5!r}:{rate * 5!r}:log", "weight_decay": "0.0,0.01,0.1"}


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, int | float | str | None) else str(value) for name, value in values.items()
    }


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
