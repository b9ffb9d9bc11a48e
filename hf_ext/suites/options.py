"""The options of the commands of a suite, and how they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from hf_ext.suites.suite import Suite
from hf_ext.tasks.base.command import jobs_of_command
from hf_ext.tasks.base.job_parser import JobParser, OptionError, spelled
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.search import SEARCH_OPTIONS

_SUITE = "Suite"
_OF_SPLITS = (
    "Of a suite with splits: those that have a file each, of the best predictions of each, in RUNS/predictions; else "
    "one file for each task."
)


@dataclass
class TaskOptions:
    """Which tasks."""

    tasks: list[str] | None = option("Their names; else all.", None, group=_SUITE)


@dataclass
class CheckOptions(TaskOptions):
    """Those of ``check``."""

    splits: list[str] | None = option("Of a suite with splits: their names; else all.", None, group=_SUITE)
    variant: Mapping[str, str] = option(
        "Another way to make examples of a task, as tnews=keywords; may be given several times.",
        group=_SUITE,
        default_factory=dict,
    )
    tokenizer: str | None = option(
        "Name or folder, to count tokens by; else each character is one.", None, group=_SUITE
    )
    json: bool = option("Print JSON instead of tables.", False, group="Output")


@dataclass
class TrainOptions(TaskOptions, TrainingArguments):
    """Those of ``train``: which runs, and all training arguments."""

    seeds: list[int] | None = option("Each a run of each task; else that of --seed.", None, group=_SUITE)
    splits: list[str] | None = option(
        "Of a suite with splits: the names of those to train on; else those that its score is the mean of.",
        None,
        group=_SUITE,
    )
    preset: str | None = option(
        "Settings of each task, as article or official; else those of its job with the lengths of the suite.",
        None,
        group=_SUITE,
    )
    variant: Mapping[str, str] = option(
        "Another way to make examples of a task, as tnews=keywords; may be given several times.",
        group=_SUITE,
        default_factory=dict,
    )


@dataclass
class PredictOptions(TaskOptions):
    """Those of ``predict``."""

    batch_size: int | None = option("Texts run at a time; else as in training.", None, group="Running")
    use_cpu: bool = option("Run on the CPU, even if there is a GPU.", False, group="Running")


@dataclass
class ReportOptions:
    """Those of ``report``."""

    output: Path | None = option("Folder for the report; else that of the runs.", None, group="Output")
    title: str | None = option("Of the report; else the name of the suite.", None, group="Output")


@dataclass
class PackOptions(TaskOptions):
    """Those of ``pack``."""

    splits: list[str] | None = option(_OF_SPLITS, None, group=_SUITE)
    data: Path | None = option(
        "Folder with the official files: check the submission by them before it is written.", None, group=_SUITE
    )


@dataclass
class ValidateOptions(TaskOptions):
    """Those of ``validate``."""

    splits: list[str] | None = option(_OF_SPLITS, None, group=_SUITE)


# What the runner gives to each job by itself, and a search, which would be one more run of each.
_OF_RUNNER = (
    "train_file",
    "validation_file",
    "test_file",
    "labels",
    "dataset",
    "dataset_config",
    "train_split",
    "validation_split",
    "test_split",
    "columns",
    "streaming",
    "resume_from_checkpoint",
    *SEARCH_OPTIONS,
)


class SuiteParser(JobParser):
    """Reads the words of an action of a suite.

    Args:
        suite: its name stands in the usage.
        options_class: the options of the action.
        arguments: the paths that it is given, each with what it is.
        with_jobs: whether the options of all jobs of the suite's tasks, and of their measures, are options too.
    """

    def __init__(
        self, suite: Suite, options_class: type, arguments: Mapping[str, str], with_jobs: bool = False
    ) -> None:
        tasks = [one for task in suite.tasks for one in (task, *task.otherwise.values())] if with_jobs else []
        jobs = [job for task in tasks for job in jobs_of_command(task.job)]
        measures = [task.measure for task in tasks if task.measure is not None]
        if measures:
            options_class = make_dataclass("Options", [], bases=(options_class, *dict.fromkeys(measures)))
        super().__init__(list(dict.fromkeys(jobs)), options_class)
        self.prog = f"hf-ext {suite.name}"
        self.arguments = arguments

    def words(self, words: Sequence[str]) -> tuple[dict[str, Any], list[Path]]:
        """The options among the words, and the paths.

        Raises:
            OptionError: if an option is unknown or its value cannot be read, or a path is missing or one too many.
        """
        given, rest = self.read_words(words)
        for name in given:
            if name not in self.options:
                raise OptionError(f"{spelled(name)} must be left out of a suite, got {given[name]}")
        if len(rest) != len(self.arguments):
            wanted = " and ".join(self.arguments)
            raise OptionError(f"{wanted} must be given before the options, got {' and '.join(rest) or 'none'}")
        return given, [Path(word) for word in rest]


def training_parser(suite: Suite, arguments: Mapping[str, str]) -> SuiteParser:
    """The parser of ``train``."""
    parser = SuiteParser(suite, TrainOptions, arguments, with_jobs=True)
    for name in _OF_RUNNER:
        parser.options.pop(name, None)
    output = parser.options["output_dir"]
    output.help, output.group, output.required = "Folder for the runs; may have some.", _SUITE, True
    return parser
