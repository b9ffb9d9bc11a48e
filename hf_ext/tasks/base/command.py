"""Makes the command of a task from its jobs: their fields are its options, then those of their training arguments."""

import shlex
from collections.abc import Callable, Mapping
from enum import Enum
from importlib import import_module
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer
from huggingface_hub import constants
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand

from hf_ext.tasks.base.data_source import source_of
from hf_ext.tasks.base.discovery import task_modules
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.job_parser import TRAINING, JobParser, Option, OptionError

# Training arguments that --help shows beside those that the job gives a default; --help-all shows all.
_OFTEN_USED = {
    "seed",
    "max_steps",
    "gradient_accumulation_steps",
    "bf16",
    "use_cpu",
    "resume_from_checkpoint",
    "push_to_hub",
    "hub_model_id",
    "hub_private_repo",
}


def jobs_of_command(name: str, program: str = "train") -> list[type[Job]]:
    """The jobs that say that the command of that name is theirs, in the order of their modules.

    Args:
        name: of the command.
        program: the word that it stands behind, ``"train"`` or ``"pretrain"``.
    """
    return [
        job
        for module in map(import_module, task_modules("job"))
        for job in vars(module).values()
        if isinstance(job, type) and issubclass(job, Job) and job.__module__ == module.__name__
        if vars(job).get("command") == name and job.program == program
    ]


def job_command(name: str, program: str = "train") -> TyperCommand:
    """The command ``hf-ext <program> <name>``."""
    parser = JobParser(jobs_of_command(name, program))
    job = parser.jobs[0]
    made = task_command(
        name,
        parser,
        lambda words: run_job(*parser.job_and_arguments(words)),
        (job.__doc__ or "").partition("\n")[0],
        f"Every option of Transformers' {job.arguments_class.__name__} is taken too; --help-all shows them.",
    )
    made.seldom = seldom_options(parser)
    return made


def seldom_options(parser: JobParser) -> set[str]:
    """The training arguments that only ``--help-all`` shows."""
    often = {*_OFTEN_USED}.union(
        *((*job.defaults, *job.defaults_from_scratch, *job.defaults_fine_tuning) for job in parser.jobs)
    )
    return {option.name for option in parser.options.values() if option.group == TRAINING} - often


def task_command(
    name: str,
    parser: JobParser,
    run: Callable[[list[str]], None],
    help: str,
    epilog: str,
    kind: "type[JobCommand] | None" = None,
) -> "JobCommand":
    """A command with the options of a parser.

    Args:
        name: of the command.
        parser: of its words.
        run: what it does with them; an `OptionError` is an error of usage.
        help: what it is for.
        epilog: what its help ends with.
        kind: its class; None: `JobCommand`.
    """

    def command(context: typer.Context, **_: Any) -> None:
        try:
            run(context.args)
        except OptionError as error:
            context.fail(str(error))

    # What Typer shows and completes; it leaves the words themselves to the parser.
    command.__signature__ = _signature(parser)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command(name, cls=kind or JobCommand, help=escape(help), epilog=epilog)(command)
    made = typer.main.get_command(app)
    assert isinstance(made, JobCommand)
    return made


def run_job(job: Job, arguments: Any) -> None:
    """Run a job; the first process then prints the scores, where everything is and what to do next."""
    scores = job.run(arguments)
    if arguments.process_index > 0:
        return
    console = Console(highlight=False, markup=False)
    shown = job.show(scores, source_of(job, "validation"))
    if "test" in scores:
        # The first may be too good: they are those by which the epoch was chosen.
        shown += job.show(scores["test"], source_of(job, "test"))
    for name in ("threshold", "null_threshold"):
        if name in scores:
            shown.append(f"{name} {scores[name]:.4g}, saved with the model")
    saved = f"saved to {arguments.output_dir}: {job.saved(Path(arguments.output_dir))}"
    for part in (*shown, saved, *next_steps(job, arguments)):
        console.print(part, soft_wrap=isinstance(part, str))


def next_steps(job: Job, arguments: Any) -> list[str]:
    """The lines that say what to do with the model of a run."""
    folder = shlex.quote(str(arguments.output_dir))
    steps = [f"  hf-ext {step.format(output_dir=folder)}" for step in job.next_steps]
    if not arguments.push_to_hub:
        return ["next:", *steps]
    there = f"uploaded to {constants.ENDPOINT}/{arguments.hub_model_id}"
    return [there, "next:", *(step for step in steps if not step.startswith("  hf-ext push "))]


class JobCommand(TyperCommand):
    """Typer's help and completion over words that `JobParser` reads."""

    seldom: frozenset[str] | set[str] = frozenset()
    """Parameters that only ``--help-all`` shows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave the words to the callback, unless they ask for help or are to be completed."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        wanted = {"--help", "--help-all"} & {*args}
        if wanted:
            parameters: list[Any] = self.params
            for parameter in parameters:
                parameter.hidden = parameter.name in self.seldom and "--help-all" not in wanted
            return super().parse_args(ctx, ["--help"])
        ctx.args = args
        return args


def _signature(parser: JobParser) -> Signature:
    """The options as the parameters of a function."""
    everything = typer.Option("--help-all", help="Show every option, and exit.")
    kind = Parameter.KEYWORD_ONLY
    return Signature(
        [
            Parameter("context", kind, annotation=typer.Context),
            *(_argument(name, help) for name, help in parser.arguments.items()),
            Parameter("help_all", kind, annotation=Annotated[bool, everything], default=False),
            *map(_parameter, parser.options.values()),
        ]
    )


def _argument(name: str, help: str) -> Parameter:
    """A word that is no option as a parameter of a function."""
    shown = typer.Argument(metavar=name, help=help)
    own = f"{name.lower()}_argument"
    return Parameter(own, Parameter.KEYWORD_ONLY, annotation=Annotated[Path | None, shown], default=None)


def _parameter(option: Option) -> Parameter:
    """An option as a parameter of a function, of the nearest type that Typer knows."""
    kind: Any = option.kind if option.kind in (bool, int, float, Path) else str
    if option.choices:
        kind = Literal[option.choices]
    default = option.default.value if isinstance(option.default, Enum) else option.default
    if not isinstance(default, str | int | float) or default == "":
        default = None
    shown = typer.Option(
        option.flag,
        *option.aliases,
        help=escape(option.help),
        rich_help_panel=option.group,
        metavar="NAME=VALUE" if get_origin(option.kind) is Mapping else None,
        show_default=option.note or default is not None,
    )
    if not option.required and default is None:
        kind = kind | None
    return Parameter(
        option.name,
        Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind, shown],
        default=Parameter.empty if option.required else default,
    )
