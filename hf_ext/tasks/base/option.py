"""The fields of a job, which are the options of its command too."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, field
from typing import Any

METHODS = "Methods"
"""The group of the options of methods of training."""


def option(
    help: str,
    default: Any = MISSING,
    *,
    group: str,
    choices: Iterable[str] | None = None,
    config_field: str | None = None,
    aliases: Iterable[str] = (),
    default_factory: Callable[[], Any] | None = None,
    kw_only: Any = MISSING,
) -> Any:
    """A field of a job, stated once for Python and the command line.

    Args:
        help: what it is, a sentence; ``--help`` shows it.
        default: its value where none is given; without it the option is required.
        group: heading under which ``--help`` shows it.
        choices: its values, where they are the names of a table; of a ``Literal`` they are known.
        config_field: the field of the head's config that it gives; None: none.
        aliases: further spellings on the command line.
        default_factory: makes the default, where that is mutable.
        kw_only: whether Python gives it by its name only; else as the class says.
    """
    metadata: dict[str, Any] = {"help": help, "group": group}
    if choices is not None:
        metadata["choices"] = tuple(choices)
    if config_field is not None:
        metadata["config_field"] = config_field
    if aliases:
        metadata["aliases"] = list(aliases)
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=metadata, kw_only=kw_only)
    return field(default=default, metadata=metadata, kw_only=kw_only)
