"""The job that trains a task of a suite, what measures its models, and the options that these know."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from hf_ext.suites.files import schema_file
from hf_ext.suites.measure import Measure
from hf_ext.suites.suite import SuiteTask
from hf_ext.tasks.base.command import jobs_of_command
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.job_parser import JobParser
from hf_ext.tasks.base.search import SEARCH_OPTIONS


def known_options(task: SuiteTask) -> frozenset[str]:
    """The options of the jobs of a task and of its measure, and training arguments; none if there is no such job."""
    jobs = jobs_of_command(task.job)
    kinds: Any = (*jobs, *(job.arguments_class for job in jobs[:1]), *([task.measure] if jobs and task.measure else ()))
    return frozenset(one.name for kind in kinds for one in fields(kind)) - {*SEARCH_OPTIONS}


def job_class(task: SuiteTask, settings: Mapping[str, Any]) -> type[Job]:
    """The job of a task that has these options and training arguments, but for those of its measure.

    Raises:
        ValueError: if there is none, or an option is none of its.
    """
    known = known_options(task)
    if not known:
        raise ValueError(f"job of the task {task.name} must be a command of hf-ext train, got {task.job!r}")
    for name in settings:
        if name not in known:
            raise ValueError(f"the job {task.job} of the task {task.name} has no option {name}")
    return JobParser(jobs_of_command(task.job)).job_class(settings)


def labels_of_schema(task: SuiteTask, path: Path) -> list[str]:
    """The labels of a file as the job of a task reads its ``schema_file``."""
    # It is made of neither; a job has one of them.
    job: Any = job_class(task, task.options)(train_file=path, validation_file=path, config="tiny")
    labels: list[str] = job.read_schema(path)
    return labels


def label_options(kind: type[Job], task: SuiteTask, data: Path) -> dict[str, Any]:
    """What a job is told of the labels of a task: the official file of them, or all classes, if it takes either."""
    schema = schema_file(data, task)
    if schema is not None:
        return {"schema_file": schema}
    takes_labels = any(one.name == "labels" for one in fields(kind))
    return {"labels": list(task.labels)} if takes_labels and task.labels else {}


def of_job(kind: type[Job] | type[Measure], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some settings that are options of a job or a measure, and no training arguments."""
    own = {one.name for one in fields(kind)}
    return {name: value for name, value in settings.items() if name in own}
