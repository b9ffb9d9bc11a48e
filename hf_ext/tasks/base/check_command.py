"""Makes ``hf-ext check <task>`` from the jobs of a task: the files and options are those of ``hf-ext train <task>``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from hf_ext.tasks.base.check import check_job_files
from hf_ext.tasks.base.command import jobs_of_command, task_command
from hf_ext.tasks.base.data_source import with_files
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.job_parser import JobParser, OptionError
from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.quiet import said_once

STATUS = {None: 0, "note": 0, "warning": 3, "error": 4}
"""The exit status by the gravest of what was found."""

_WITHOUT_EFFECT = ("overwrite", "keep_checkpoints", "patience", "license", "language", "search", "search_trials")
"""Options of a training that a check does nothing with, beside its methods."""


@dataclass
class CheckOptions:
    """What a check is given beside the options of a job."""

    json: bool = option("Print JSON instead of tables.", False, group="Output")


def check_command(name: str) -> TyperCommand:
    """The command ``hf-ext check <name>``."""
    jobs = jobs_of_command(name)
    parser = JobParser(jobs, CheckOptions)
    nothing = without_effect(jobs[0])
    # A file of options may be that of a training.
    parser.ignored = nothing | {one.name for one in fields(jobs[0].arguments_class)}
    parser.options["validation_file"].required = False
    for one in nothing:
        del parser.options[one]

    def run(words: list[str]) -> None:
        given = parser.given(words)
        if given.get("train_file") is None and given.get("dataset") is None:
            raise OptionError("--train-file or --dataset must be given")
        check(parser, given)

    help = f"Check files for hf-ext train {name}: repetitions, leaks, contradictions, what is cut or lost."
    epilog = "The exit status is 0 if there is nothing but notes, 3 with warnings, 4 with errors."
    return task_command(name, parser, run, help, epilog)


def without_effect(job_class: type[Job]) -> set[str]:
    """The options of a job that a check does nothing with."""
    return {*_WITHOUT_EFFECT, *(one.name for one in fields(job_class) if one.metadata.get("group") == METHODS)}


def check(parser: JobParser, given: Mapping[str, Any]) -> None:
    """Check the files that are given, print what is found, and end with the status that says how grave it is."""
    job_class = parser.job_class(given)
    own = {one.name for one in fields(job_class)}
    options = {name: value for name, value in given.items() if name in own}
    if given.get("model") is None:
        # A job has a model or a config; neither is made here.
        options.setdefault("config", "tiny")
    alone = options.get("validation_file") is None and options.get("dataset") is None
    if alone:
        options["validation_file"] = options["train_file"]
    job = with_files(job_class(**options))
    parts = ("test",) if alone else ("validation", "test")
    files = {part: Path(file) for part in parts if (file := getattr(job, f"{part}_file")) is not None}
    with said_once():
        found = check_job_files(job, files)
    if given.get("json"):
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=1))
    else:
        console = Console(highlight=False, markup=False)
        for part in found.tables():
            # A message is a line, also where it is read by a program.
            console.print(part, soft_wrap=isinstance(part, str))
    raise typer.Exit(STATUS[found.severity])
