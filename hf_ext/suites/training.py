"""Trains the tasks of a suite, seed by seed: what has ended is left alone, and a failure does not stop the others."""

import json
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainingArguments
from transformers.trainer_utils import sort_checkpoints

from hf_ext.suites.files import find_part, official_places, read_part, schema_file, usable, write_examples
from hf_ext.suites.jobs import job_class, known_options, label_options, of_job
from hf_ext.suites.prediction import task_predictions
from hf_ext.suites.runs import Run, configuration_of, first_process, read_run, run_folder, write_run
from hf_ext.suites.suite import Row, Suite, SuiteTask, check_variants
from hf_ext.tasks.base.job import Job
from hf_ext.training.progress import say
from hf_ext.training.run_steps import checkpoint_to_resume
from hf_ext.version import __version__

ERROR_FILE = "error.txt"
"""Where the whole of a failure stands, beside ``run.json``."""

# What says how a run goes on its way, and not what comes out of it.
_FREE = {
    "overwrite",
    "keep_checkpoints",
    "disable_tqdm",
    "logging_steps",
    "report_to",
    "dataloader_num_workers",
    "use_cpu",
}

_HYPERPARAMETERS = (
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "world_size",
    "bf16",
    "fp16",
    "metric_for_best_model",
)


@dataclass(frozen=True)
class Training:
    """What to train of a suite.

    Attributes:
        suite: the tasks there are.
        data: the folder of the official files.
        output: the folder of the runs.
        tasks: the names of those to train; None: all, but with a preset those that have it.
        seeds: each a run of each task.
        splits: names of those to train on; None: those of the mean.
        preset: of the settings of each task; None: those that a task always has, and else the job's own.
        variants: by the name of a task, the variant of its examples.
        options: options of jobs and training arguments, over those of the tasks; each has an effect on the tasks whose
            job knows it.
        overwrite: whether runs that have ended, or are of other settings, are made again.
    """

    suite: Suite
    data: Path
    output: Path
    tasks: Sequence[str] | None = None
    seeds: Sequence[int] = (42,)
    splits: Sequence[str] | None = None
    preset: str | None = None
    variants: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False

    def __post_init__(self) -> None:
        self.suite.chosen_splits(self.splits)
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise ValueError(f"seeds must be one or several that differ, got {list(self.seeds)}")
        if self.preset is not None and self.preset not in self.suite.presets:
            known = ", ".join(self.suite.presets) or "none"
            raise ValueError(f"preset must be one of the suite {self.suite.name}, {known}, got {self.preset!r}")
        tasks = [task.trained(self.preset) for task in self.chosen]
        check_variants(self.variants, tasks)
        for name in self.options:
            if not any(name in known_options(task) for task in tasks):
                jobs = ", ".join(sorted({task.job for task in tasks}))
                raise ValueError(f"{name} has no effect on the tasks that are trained ({jobs}); leave it out")

    @property
    def chosen(self) -> tuple[SuiteTask, ...]:
        """The tasks to train."""
        named = self.suite.chosen(self.tasks)
        return tuple(task for task in named if self.tasks is not None or self.preset in (None, *task.all_presets))

    def run(self) -> list[Run]:
        """Train what has not ended.

        Returns:
            All runs that were asked for, those that had ended before included.
        """
        runs = []
        left_out = [task.name for task in self.suite.chosen(self.tasks) if task not in self.chosen]
        if left_out:
            _say(f"left out, as they have no preset {self.preset}: {', '.join(left_out)}")
        for task in self.chosen:
            for split in self.suite.chosen_splits(self.splits):
                for seed in self.seeds:
                    runs.append(self._guarded(task, seed, split))
        return runs

    def settings(self, task: SuiteTask) -> dict[str, Any]:
        """Options of the job of a task and training arguments."""
        return {**task.settings(self.preset), **self._given(task)}

    def _given(self, task: SuiteTask) -> dict[str, Any]:
        """The options that the job of a task knows."""
        known = known_options(task.trained(self.preset))
        return {name: value for name, value in self.options.items() if name in known}

    def _guarded(self, task: SuiteTask, seed: int, split: str | None) -> Run:
        said = {"preset": self.preset, "variant": self.variants.get(task.name)}
        settings = {**said, **self.settings(task)}
        run = Run(self.suite.name, task.name, seed, split, said, configuration_of(task, settings), version=__version__)
        folder = run_folder(self.output, run)
        title = f"{task.name}, {run.name}"
        try:
            run.settings = _as_json(settings)
            run.files = self._digests(task.trained(self.preset), split)
            before = read_run(folder)
            if before is not None and not self.overwrite:
                # A run that left nothing to go on from may begin anew with other settings.
                if before.state == "finished" or sort_checkpoints(str(folder)):
                    _check_same(before, run, folder)
                if before.state == "finished":
                    _say(f"{title}: has ended before, with {task.metric} {before.score(task):.4f}")
                    return before
            _say(f"{title}: begins")
            return self._train(task, run, folder)
        # Whatever it is, other tasks are not to wait for it.
        except Exception as error:
            run.state, run.error = "failed", " ".join(f"{type(error).__name__}: {error}".split())
            _say(f"{title}: failed: {run.error}")
            _note_failure(run, folder)
            return run

    def _digests(self, task: SuiteTask, split: str | None) -> dict[str, str]:
        """SHA-256 of the official files by their names; none where one is missing, which training tells."""
        try:
            paths = [path for part in task.labelled for path in find_part(self.data, task, part, split)]
        except ValueError:
            return {}
        schema = schema_file(self.data, task)
        paths += [schema] if schema else []
        return {path.name: sha256(path.read_bytes()).hexdigest() for path in paths}

    def _train(self, task: SuiteTask, run: Run, folder: Path) -> Run:
        began = time.monotonic()
        settings = {name: value for name, value in self.settings(task).items() if value is not None}
        task = task.trained(self.preset)
        variant = self.variants.get(task.name)
        rows = {part: usable(task, read_part(self.data, task, part, run.split, variant)) for part in task.labelled}
        kind = job_class(task, settings)
        own = of_job(kind, settings)
        measured = {} if task.measure is None else of_job(task.measure, settings)
        measure = None if task.measure is None else task.measure(**measured)
        files = self._files(task, run.split, rows)
        paths = {f"{part if part in ('train', 'validation') else 'test'}_file": path for part, path in files.items()}
        job = kind(**{**label_options(kind, task, self.data), **paths, **own})
        given = {name: value for name, value in settings.items() if name not in own and name not in measured}
        arguments = job.training_arguments(folder, **given, seed=run.seed)
        learns = arguments.num_train_epochs > 0 or arguments.max_steps > 0
        trains = measure is None or learns
        if not trains and job.model is None:
            raise ValueError(f"model must be given where nothing is trained, got config {job.config}")
        if learns:
            run.hyperparameters = _as_json({name: getattr(arguments, name) for name in _HYPERPARAMETERS})
        if trains:
            _resume_or_replace(job, arguments, folder, self.overwrite)
        if arguments.process_index == 0:
            write_run(run, folder)
        if trains:
            with official_places({path: rows[part] for part, path in files.items()}):
                run.scores = _as_json(job.run(arguments))
            # The first process is the one that saves what the others open next.
            PartialState().wait_for_everyone()
            run.official = _official(task, rows[task.scored], folder, arguments)
        if measure is not None:
            examples = {part: [row.example for row in own] for part, own in rows.items()}
            model = str(folder if trains else job.model)
            run.scores = _as_json(measure.scores(model, examples, settings, arguments.device))
        run.state, run.seconds = "finished", time.monotonic() - began
        if arguments.process_index == 0:
            (folder / ERROR_FILE).unlink(missing_ok=True)
            write_run(run, folder)
        _say(f"{task.name}, {run.name}: {task.metric} {run.score(task):.4f} on {task.scored}")
        return run

    def _files(self, task: SuiteTask, split: str | None, rows: Mapping[str, Sequence[Row]]) -> dict[str, Path]:
        """The file of each part that the job reads, written from the rows of the official ones."""
        folder = self.output / task.name / "data"
        made = {}
        for part in task.labelled:
            # What choice of examples a file is stands in its name, as runs share the folder.
            words = [part, split, self.variants.get(task.name), task.job]
            path = folder / f"{'-'.join(filter(None, words))}.jsonl"
            write_examples(rows[part], path)
            made[part] = path
        return made


def _official(task: SuiteTask, rows: Sequence[Row], folder: Path, arguments: TrainingArguments) -> dict[str, float]:
    if task.scorer is None:
        return {}
    predictions = task_predictions(task, rows, folder, use_cpu=arguments.use_cpu)
    return dict(task.scorer(predictions, [row.example for row in rows]))


def _check_same(before: Run, run: Run, folder: Path) -> None:
    """Raise ValueError if a run that there is has other settings, or is made of other files."""
    names = sorted({*before.settings, *run.settings} - _FREE)
    other = [name for name in names if before.settings.get(name) != run.settings.get(name)]
    if other:
        told = ", ".join(f"{name} {run.settings.get(name)} for {before.settings.get(name)}" for name in other)
        raise ValueError(
            f"settings must be those of the run that is there, unless overwrite or another output_dir is given, got "
            f"{told} in {folder}"
        )
    other = sorted(name for name, digest in run.files.items() if before.files.get(name, digest) != digest)
    if other:
        raise ValueError(
            f"data must have the files of the run that is there, unless overwrite or another output_dir is given, got "
            f"other ones under {', '.join(other)} than in {folder}"
        )


def _resume_or_replace(job: Job, arguments: TrainingArguments, folder: Path, overwrite: bool) -> None:
    """Go on from the last checkpoint of a run that did not end, or begin anew, whatever it has left."""
    if overwrite or not folder.is_dir() or not sort_checkpoints(str(folder)):
        job.overwrite = True
        return
    arguments.resume_from_checkpoint = "True"
    try:
        checkpoint_to_resume(arguments)
    # None that is complete.
    except ValueError:
        arguments.resume_from_checkpoint = None
        job.overwrite = True


def _note_failure(run: Run, folder: Path) -> None:
    try:
        before = read_run(folder)
    # That is the failure, and what is there is left for its user to look at.
    except ValueError:
        return
    # A run that has ended stays what it is.
    if not first_process() or (before is not None and before.state == "finished"):
        return
    if before is not None:
        run.settings, run.files = before.settings, before.files
    write_run(run, folder)
    (folder / ERROR_FILE).write_text(traceback.format_exc(), encoding="utf-8")


def _as_json(value: Any) -> Any:
    """What is read again of a value that is written."""
    return json.loads(json.dumps(value, default=str))


def _say(line: str) -> None:
    if first_process():
        say(line)
