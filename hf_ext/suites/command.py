"""Makes the commands of suites: ``hf-ext <suite> <action>``, and ``hf-ext suite FILE <action>`` of a user's own."""

import inspect
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from typer.core import TyperCommand

from hf_ext.suites import actions
from hf_ext.suites.discovery import load_suite, shipped_suites
from hf_ext.suites.options import (
    CheckOptions,
    PackOptions,
    PredictOptions,
    ReportOptions,
    SuiteParser,
    TrainOptions,
    ValidateOptions,
    training_parser,
)
from hf_ext.suites.suite import Suite
from hf_ext.tasks.base.command import JobCommand, seldom_options, task_command
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.job_parser import JobParser, OptionError

_PLACES = {
    "data": "Folder with the official files, a folder for each task.",
    "runs": "Folder of the runs, as train writes it.",
    "predictions": "Folder of predictions, as RUNS/predictions/best, which predict writes.",
    "target": "The zip of the submission.",
}
_OPTIONS: Mapping[str, type] = {
    "check": CheckOptions,
    "predict": PredictOptions,
    "pack": PackOptions,
    "validate": ValidateOptions,
    "report": ReportOptions,
}
ACTIONS = ("check", "train", "predict", "pack", "validate", "report")
"""The names of the functions of `hf_ext.suites.actions`."""


@dataclass
class _FileOptions(TrainOptions, CheckOptions, PredictOptions):
    """Those of all actions that every suite has."""


class _FileCommand(JobCommand):
    """A command whose help is that of the action, if one is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave the words to the action."""
        if len(args) < 2 or args[0].startswith("-"):
            return super().parse_args(ctx, args or ["--help"])
        ctx.args = args
        return args


def suite_command(name: str, action: str) -> TyperCommand:
    """The command ``hf-ext <name> <action>`` of a suite that comes with the package."""
    return action_command(shipped_suites()[name], action)


def action_command(suite: Suite, action: str, program: str | None = None) -> TyperCommand:
    """The command of an action of a suite.

    Args:
        suite: whose it is.
        action: one of `ACTIONS`.
        program: what is typed before the action; None: ``hf-ext`` and the suite's name.
    """
    run: Callable[..., None] = getattr(actions, action)
    places = [name for name in inspect.signature(run).parameters if name in _PLACES]
    arguments = {"ZIP" if name == "target" else name.upper(): _PLACES[name] for name in places}
    parser = training_parser(suite, arguments) if action == "train" else SuiteParser(suite, _OPTIONS[action], arguments)

    def run_words(words: list[str]) -> None:
        given, paths = parser.words(words)
        # What is to be typed next is told by it.
        told = {"program": program or f"hf-ext {suite.name}"} if action == "train" else {}
        run(suite, given, *paths, **told)

    made = task_command(action, parser, run_words, (run.__doc__ or "").partition("\n")[0], "")
    if action == "train":
        made.seldom = seldom_options(parser)
    return made


def file_command() -> TyperCommand:
    """The command ``hf-ext suite``, over a user's file."""
    parser = JobParser([Job], _FileOptions)
    parser.arguments = {
        "FILE": "Python file that defines SUITE.",
        "ACTION": f"{', '.join(ACTIONS)}; behind it as with any suite: --help shows it.",
    }

    def run_words(words: list[str]) -> None:
        if len(words) < 2:
            raise OptionError("FILE and ACTION must be given")
        file, action, *rest = words
        if action not in ACTIONS:
            raise OptionError(f"ACTION must be one of {', '.join(ACTIONS)}, got {action!r}")
        program = f"hf-ext suite {shlex.quote(file)}"
        action_command(load_suite(file), action, program)(args=rest, prog_name=f"{program} {action}")

    help = "Check, train, predict or report the tasks of a suite of your own, a Python file."
    made = task_command("suite", parser, run_words, help, "", _FileCommand)
    made.seldom = seldom_options(parser)
    return made
