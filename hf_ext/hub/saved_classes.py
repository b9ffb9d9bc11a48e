"""The classes that a checkpoint can be of, by name: families, tokenizers, and heads over any encoder."""

import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from packaging.version import Version

import hf_ext.models as models
from hf_ext import tokenization
from hf_ext.tasks.base.discovery import task_modules
from hf_ext.version import __version__

logger = logging.getLogger(__name__)


def class_named(name: str) -> Any:
    """A class of this package by its name, as ``architectures`` and ``auto_map`` of a checkpoint have it.

    Raises:
        AttributeError: if there is none.
    """
    if name in tokenization.__all__:
        return getattr(tokenization, name)
    for family in iter_modules(models.__path__, f"{models.__name__}."):
        module = import_module(family.name)
        if name in getattr(module, "__all__", ()):
            return getattr(module, name)
    # Made when they are asked for, whatever encoder they are over.
    for head in task_modules("head"):
        if (found := getattr(import_module(head), name, None)) is not None:
            return found
    raise AttributeError(f"hf_ext {__version__} has no class {name!r}")


def saved_with(version: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of the file of thin code, which gives the classes of its checkpoint.

    Args:
        version: of the package that has saved the checkpoint.
    """

    def saved_class(name: str) -> Any:
        # The library and Python ask a module for names of their own.
        if name.startswith("__"):
            raise AttributeError(name)
        if Version(version) > Version(__version__):
            _warn(version)
        try:
            return class_named(name)
        except AttributeError as error:
            raise AttributeError(f"{error}; the checkpoint was saved with hf-ext {version}") from None

    return saved_class


@cache
def _warn(version: str) -> None:
    logger.warning(
        'A checkpoint was saved with hf-ext %s, and %s is installed: run pip install "hf-ext>=%s"',
        version,
        __version__,
        version,
    )
