"""What a task says of its files: how they are read, and what other formats call what is in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hf_ext.tasks.base.discovery import task_modules


@dataclass(frozen=True)
class TaskFiles:
    """The files of a task; the module that reads them has one called ``FILES``.

    Attributes:
        command: the name of the task's command under ``hf-ext train``.
        read: the examples of a file in any of its formats, which are its JSON lines too.
        content: what they are to the formats that tasks share, see :mod:`hf_ext.data.formats.registry`; None: nothing.
        shared: an example in the form of that registry.
        splits: those of which one is asked for, where a file may hold several; ``read`` takes its name too.
    """

    command: str
    read: Callable[..., Sequence[Mapping[str, Any]]]
    content: str | None = None
    shared: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    splits: Sequence[str] = ()


def task_files() -> dict[str, TaskFiles]:
    """The files of every task by the name of its command."""
    modules = map(import_module, task_modules("files"))
    found = [module.FILES for module in modules if hasattr(module, "FILES")]
    return {one.command: one for one in sorted(found, key=lambda one: one.command)}
