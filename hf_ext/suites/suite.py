"""What a suite of tasks is, and what each of its tasks says of itself: from official files to lines of a submission."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hf_ext.data.text_lines import FileLine
from hf_ext.suites.measure import Measure

FileNames = str | Sequence[str | Sequence[str]]
"""The name of a file; or of several that belong together, each as one name, or as the names that it goes by."""


class Row(NamedTuple):
    """An official row as an example of the job that trains its task.

    Attributes:
        where: its place in its file, for errors.
        id: what the submission calls it: its own id, or else its number from 0.
        example: what the job reads of a line of JSON; without the label, if it has none.
    """

    where: FileLine | str
    id: Any
    example: dict[str, Any]


Reader = Callable[[Sequence[Path]], Iterable[Row]]
"""Reads the files of a part, in the order in which a task names them; raises ValueError naming file and line."""


@dataclass(frozen=True)
class Published:
    """Numbers that others have published.

    Attributes:
        name: of what was measured.
        part: of the data that it was measured on.
        scores: by task, in the unit of `SuiteTask.metric`.
        metrics: by task, where that is another than the task's. By one that a task has in ``also``, or its ``scorer``
            gives, a report shows the runs' scores too.
        source: where it stands.
        of: settings of the runs that it is to stand beside, by their names; it is left out where there are none with
            these. Empty: it is shown with any.
    """

    name: str
    part: str
    scores: Mapping[str, float]
    source: str
    metrics: Mapping[str, str] = field(default_factory=dict)
    of: Mapping[str, Any] = field(default_factory=dict)


def prediction_line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a submission for a text with a class: ``{"id", "label"}``, both as strings."""
    return {"id": str(prediction["id"]), "label": str(prediction["label"])}


@dataclass(frozen=True, kw_only=True)
class SuiteTask:
    """A task of a suite, over a job that there is.

    The official rows become lines of JSON that the job reads as those of any other file, so a job knows nothing of
    suites.

    Attributes:
        name: of the task, and of its folder.
        job: the command under ``hf-ext train`` that trains it.
        files: the names of the official files, by part. ``"train"`` and ``"validation"`` are trained on and choose the
            best epoch; the others are predicted, but for that which is ``scored``. In a suite with splits ``{split}``
            stands for one. A name with a stroke is that of a file beside the task's folder.
        read: makes examples of official rows.
        metric: the exact name of the metric, as reports give it.
        score: its key among the scores of the job or of ``scorer``, in [0, 1].
        labels: its classes, in the order that a model gets them if its job takes any; a row with another is refused.
            Empty: it has none, or the job knows.
        no_label: labels of rows that are neither trained on nor scored, as ``-`` of those whose annotators disagree.
        options: options of the job and training arguments, whatever the preset.
        presets: more of them, by the name of a preset, over ``options``.
        otherwise: by the names of further presets, the task as each of these trains it, by another job for instance.
        variants: other ways to make examples of rows, by their names.
        apart: options whose values tell runs apart as preset and variant do: runs that differ in them may lie in one
            folder, and are reported one below the other.
        folders: further names of its folder. Case and an ending ``_public`` do not matter.
        counts: official number of rows, without those of ``no_label``, by part; of a part that comes in splits by
            ``"<part>_<split>"``.
        counted: a key of examples, if `counts` are of its different values, as of lines with several blanks each.
        also: further scores of the job to report, by their names.
        unlabelled: what examples to be predicted have in place of a label, unless it is a class.
        scorer: the official scorer, of predictions and examples: scores in [0, 1] by their exact names, which stand
            beside those of the job.
        measure: scores its models in place of the job; its fields are options beside those of the job.
        scored: the part whose score is reported: ``"validation"``, or a labelled part that chooses nothing.
        schema: the names that the official file of its labels goes by, which the job is given as ``schema_file`` and a
            submission is checked by, if it is there.
        submissions: the name of the file of a submission, by part.
        optional: names of those that a submission may do without.
        submission_labels: what labels a submission may have; empty: ``labels``.
        submission: the kind of these files, as `hf_ext.suites.submission` checks it: ``"label"``, ``"answer"``,
            ``"entities"``, ``"relations"``, ``"events"`` or ``"lines"`` (of a form of its own), with a line for each
            prediction, or one object, of ``"idioms"`` or ``"answers"``.
        submission_line: what a submission has of a prediction: a line, or entries of the one object.
    """

    name: str
    job: str
    files: Mapping[str, FileNames]
    read: Reader
    metric: str = "accuracy"
    score: str = "accuracy"
    labels: Sequence[str] = ()
    no_label: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    otherwise: Mapping[str, "SuiteTask"] = field(default_factory=dict)
    variants: Mapping[str, Reader] = field(default_factory=dict)
    apart: Sequence[str] = ()
    folders: Sequence[str] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    counted: str | None = None
    also: Mapping[str, str] = field(default_factory=dict)
    unlabelled: Mapping[str, Any] = field(default_factory=dict)
    scorer: Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], Mapping[str, float]] | None = None
    measure: type[Measure] | None = None
    scored: str = "validation"
    schema: Sequence[str] = ()
    submissions: Mapping[str, str] = field(default_factory=dict)
    optional: Sequence[str] = ()
    submission_labels: Sequence[str] = ()
    submission: str = "label"
    submission_line: Callable[[Mapping[str, Any]], Mapping[str, Any]] = prediction_line

    def __post_init__(self) -> None:
        for part in ("train", "validation", self.scored):
            if part not in self.files:
                raise ValueError(
                    f"files of the task {self.name} must have the part {part}, got {', '.join(self.files)}"
                )
        unknown = self.submissions.keys() - self.files.keys()
        if unknown:
            raise ValueError(f"submissions of the task {self.name} must be of its files, got {', '.join(unknown)}")
        twice = self.presets.keys() & self.otherwise.keys()
        if twice:
            raise ValueError(
                f"presets of the task {self.name} must have names of their own, got {', '.join(twice)} twice"
            )
        for preset, other in self.otherwise.items():
            for name in ("name", "metric", "score", "scored", "submission"):
                if getattr(other, name) != getattr(self, name):
                    raise ValueError(
                        f"{name} of the task {self.name} must be the same with the preset {preset}, "
                        f"{getattr(self, name)!r}, got {getattr(other, name)!r}"
                    )

    @property
    def submits_object(self) -> bool:
        """Whether a submission is one object and not a line for each prediction."""
        return self.submission in ("idioms", "answers")

    @property
    def labelled(self) -> tuple[str, ...]:
        """The parts whose rows have labels."""
        return tuple(dict.fromkeys(("train", "validation", self.scored)))

    @property
    def predicted(self) -> tuple[str, ...]:
        """The parts that are predicted."""
        return tuple(part for part in self.files if part not in self.labelled)

    def reader(self, variant: str | None = None) -> Reader:
        """What makes examples of rows.

        Raises:
            ValueError: if there is no such variant.
        """
        if variant is None:
            return self.read
        if variant not in self.variants:
            known = ", ".join(self.variants) or "none"
            raise ValueError(f"variant of {self.name} must be one of its own, {known}, got {variant!r}")
        return self.variants[variant]

    @property
    def all_presets(self) -> tuple[str, ...]:
        """The names of its presets, those that make it another task included."""
        return (*self.presets, *self.otherwise)

    def trained(self, preset: str | None) -> "SuiteTask":
        """The task as a preset trains it; None: as it is.

        Raises:
            ValueError: if it has no such preset.
        """
        if preset is not None and preset not in self.all_presets:
            known = ", ".join(self.all_presets) or "none"
            raise ValueError(f"preset of {self.name} must be one that it has, {known}, got {preset!r}")
        return self if preset is None else self.otherwise.get(preset, self)

    def settings(self, preset: str | None) -> dict[str, Any]:
        """Options of the job and training arguments with a preset; None: none.

        Raises:
            ValueError: if it has no such preset.
        """
        own = self.trained(preset)
        return {**own.options, **self.presets.get(preset or "", {})}


def check_variants(variants: Mapping[str, str], tasks: Sequence[SuiteTask]) -> None:
    """Raise ValueError if variants, by the name of their task, are not of these tasks, or none that a task has."""
    by_name = {task.name: task for task in tasks}
    for name, variant in variants.items():
        if name not in by_name:
            raise ValueError(f"variant must be of one of the tasks {', '.join(by_name)}, got {name!r}")
        by_name[name].reader(variant)


@dataclass(frozen=True)
class Suite:
    """Tasks that are trained, predicted and reported together.

    Attributes:
        name: its command: ``hf-ext <name>``.
        tasks: in the order of reports.
        published: numbers to show beside those of a report.
        splits: names of the training data that each task has several of, each a run of its own, of whose scores a
            report has the mean; empty: it has one.
        more_splits: further ones, which are no part of the mean.
        averages: by the name of an average, the tasks that it is the mean of.
        zip_name: what the zip of a submission has to be called; None: whatever one likes.
        one_submission: whether the files of all tasks are one submission; else each task is a contest of its own, and
            takes a zip with its file alone, whatever that is called.
    """

    name: str
    tasks: Sequence[SuiteTask]
    published: Sequence[Published] = ()
    splits: Sequence[str] = ()
    more_splits: Sequence[str] = ()
    averages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    zip_name: str | None = None
    one_submission: bool = True

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if not names or len({*names}) < len(names):
            raise ValueError(f"tasks of the suite {self.name} must have names of their own, got {', '.join(names)}")
        for average, own in self.averages.items():
            if not {*own} <= {*names}:
                raise ValueError(f"averages of the suite {self.name} must be of its tasks, got {average} of {own}")

    def chosen_splits(self, names: Sequence[str] | None) -> tuple[str | None, ...]:
        """The splits of these names; None: those of the mean; of a suite without splits None alone.

        Raises:
            ValueError: if there is no such split.
        """
        known = (*self.splits, *self.more_splits)
        for name in names or ():
            if name not in known:
                raise ValueError(f"splits must be of {', '.join(known) or 'a suite that has some'}, got {name!r}")
        return tuple(names or self.splits or (None,))

    @property
    def presets(self) -> tuple[str, ...]:
        """The names of presets that a task has."""
        return tuple(dict.fromkeys(preset for task in self.tasks for preset in task.all_presets))

    def chosen(self, names: Sequence[str] | None) -> tuple[SuiteTask, ...]:
        """The tasks of these names, in the order of the suite; None: all.

        Raises:
            ValueError: if there is no such task.
        """
        if names is None:
            return tuple(self.tasks)
        known = [task.name for task in self.tasks]
        for name in names:
            if name not in known:
                raise ValueError(f"tasks must be of {', '.join(known)}, got {name!r}")
        return tuple(task for task in self.tasks if task.name in names)
