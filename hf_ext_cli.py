"""The program `hf-ext`: finds its commands by their files, and imports the package when one of them runs.

It stands beside the package, because importing that registers its models, and so PyTorch and Transformers.
"""

import ast
import logging
import runpy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand


def _package() -> Path:
    spec = find_spec("hf_ext")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("hf-ext needs the package hf_ext beside it")
    return Path(next(iter(spec.submodule_search_locations)))


class _LazyCommand(TyperCommand):
    """A command that is imported when it runs."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> TyperCommand:
        """The real command."""
        assert self.callback is not None
        return self.callback()


def _add(app: typer.Typer, name: str, help: str, load: Callable[[str], TyperCommand]) -> None:
    def loaded() -> TyperCommand:
        return load(name)

    app.command(name, cls=_LazyCommand, help=help)(loaded)


def _definitions(file: Path, kind: type[ast.ClassDef] | type[ast.FunctionDef]) -> Iterator[Any]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return (node for node in tree.body if isinstance(node, kind))


def _constant(definition: ast.ClassDef, name: str) -> Any:
    """What a class says that a name of its own is, if that is a constant."""
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node.value.value if isinstance(node.value, ast.Constant) else None
    return None


def _command(package: str, name: str) -> TyperCommand:
    """The function that a file of `hf_ext/cli`, or of a folder in it, is named after, as a command."""
    stem = name.replace("-", "_")
    single = typer.Typer(add_completion=False)
    single.command(name)(getattr(import_module(f"{package}.{stem}"), stem))
    return typer.main.get_command(single)  # type: ignore[return-value]


def _training_command(name: str) -> TyperCommand:
    return import_module("hf_ext.tasks.base.command").job_command(name)


def _pretraining_command(name: str) -> TyperCommand:
    return import_module("hf_ext.tasks.base.command").job_command(name, "pretrain")


def _checking_command(name: str) -> TyperCommand:
    return import_module("hf_ext.tasks.base.check_command").check_command(name)


def _suite_command(suite: str, action: str) -> TyperCommand:
    return import_module("hf_ext.suites.command").suite_command(suite, action)


def _file_command(name: str) -> TyperCommand:
    return import_module("hf_ext.suites.command").file_command()


def _add_suites(app: typer.Typer) -> None:
    """Add the suites, a folder each, with the actions of all, the public functions of one file."""
    folder = _package() / "suites"
    actions = [one for one in _definitions(folder / "actions.py", ast.FunctionDef) if not one.name.startswith("_")]
    for file in sorted(folder.glob("*/suite.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        calls = (node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call))
        (name,) = (call.args[0].value for call in calls if ast.unparse(call.func) == "Suite")  # type: ignore[attr-defined]
        suite = typer.Typer(help=ast.get_docstring(tree) or "", no_args_is_help=True)
        for action in actions:
            _add(
                suite, action.name, (ast.get_docstring(action) or "").partition("\n")[0], partial(_suite_command, name)
            )
        app.add_typer(suite, name=name)
    help = "Check, train, predict or report the tasks of a suite of your own, a Python file."
    _add(app, "suite", help, _file_command)


def _add_commands(app: typer.Typer, package: str) -> None:
    """Add the commands that are no task's: each file of the package that has a function of its own name."""
    folder = _package().parent.joinpath(*package.split("."))
    load = partial(_command, package)
    for file in sorted(folder.glob("*.py")):
        for function in _definitions(file, ast.FunctionDef):
            if function.name == file.stem:
                _add(app, file.stem.replace("_", "-"), ast.get_docstring(function) or "", load)


def _add_job_commands(
    app: typer.Typer, folder: Path, load: Callable[[str], TyperCommand], program: str = "train"
) -> None:
    """Add the commands of a program's jobs: the first job that says that a command is its own has its help."""
    helps: dict[str, str] = {}
    for file in (*folder.glob("*/job.py"), *folder.glob("*/*_job.py")):
        for job in _definitions(file, ast.ClassDef):
            name = _constant(job, "command")
            if name is not None and (_constant(job, "program") or "train") == program:
                helps.setdefault(name, (ast.get_docstring(job) or "").partition("\n")[0])
    for name, text in sorted(helps.items()):
        _add(app, name, text, load)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(runpy.run_path(str(_package() / "version.py"))["__version__"])
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)


def _make_app() -> typer.Typer:
    app = typer.Typer(
        help="Su Jianlin's models, heads and losses for Transformers: train, predict, convert.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    train = typer.Typer(help="Train a model on files.", no_args_is_help=True)
    _add_commands(app, "hf_ext.cli")
    analyze = typer.Typer(help="Find out about a model: what it costs, knows and can say.", no_args_is_help=True)
    _add_commands(analyze, "hf_ext.cli.analyze")
    export = typer.Typer(help="Write a model for other programs.", no_args_is_help=True)
    _add_commands(export, "hf_ext.cli.export")
    check = typer.Typer(help="Check files before training on them.", no_args_is_help=True)
    pretrain = typer.Typer(help="Pre-train a model on texts without labels.", no_args_is_help=True)
    _add_job_commands(train, _package() / "tasks", _training_command)
    _add_job_commands(check, _package() / "tasks", _checking_command)
    _add_job_commands(pretrain, _package() / "tasks", _pretraining_command, "pretrain")
    app.add_typer(train, name="train")
    app.add_typer(pretrain, name="pretrain")
    app.add_typer(check, name="check")
    app.add_typer(analyze, name="analyze")
    app.add_typer(export, name="export")
    _add_suites(app)
    return app


app = _make_app()


def main() -> None:
    """Run the command; an input that cannot be used is one line on standard error and exit status 1."""
    try:
        app()
    except Exception as error:
        from hf_ext.cli.errors import error_line

        line = error_line(error)
        if line is None:
            raise
        typer.echo(f"error: {line}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
