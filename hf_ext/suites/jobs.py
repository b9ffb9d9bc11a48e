"""The job that trains a task of a suite, and the options that it knows."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hf_ext.suites.suite import SuiteTask
from hf_ext.tasks.base.command import jobs_of_command
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.job_parser import JobParser


def known_options(task: SuiteTask) -> frozenset[str]:
    """The options of the jobs of a task, and their training arguments; none if there is no such job."""
    jobs = jobs_of_command(task.job)
    kinds: Any = (*jobs, *(job.arguments_class for job in jobs[:1]))
    return frozenset(one.name for kind in kinds for one in fields(kind))


def job_class(task: SuiteTask, settings: Mapping[str, Any]) -> type[Job]:
    """The job of a task that has these options and training arguments.

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


def of_job(kind: type[Job], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some settings that are options of a job, and no training arguments."""
    own = {one.name for one in fields(kind)}
    return {name: value for name, value in settings.items() if name in own}
