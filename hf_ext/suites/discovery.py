"""Finds suites: each folder beside this file that has a ``suite.py`` is one, and so is a user's file."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from hf_ext.suites.suite import Suite

SUITE = "SUITE"
"""What a file with a suite calls it."""


def shipped_suites() -> dict[str, Suite]:
    """The suites that come with the package, by the names of their commands."""
    folders = sorted(file.parent.name for file in Path(__file__).parent.glob("*/suite.py"))
    modules = (import_module(f"hf_ext.suites.{folder}.suite") for folder in folders)
    return {suite.name: suite for suite in (getattr(module, SUITE) for module in modules)}


def load_suite(path: str | Path) -> Suite:
    """The suite that a user's Python file defines as ``SUITE``; the file is run, as by ``import``.

    Raises:
        ValueError: if there is no such file, it cannot be run, or it defines none.
    """
    file = Path(path)
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"a suite must be a Python file that defines {SUITE}, got {path}")
    name = f"hf_ext_suite_{file.stem}"
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Dataclasses and pickles of the file look for it there.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    suite = getattr(module, SUITE, None)
    if not isinstance(suite, Suite):
        raise ValueError(f"{path} must define {SUITE}, a hf_ext.suites.Suite, got {type(suite).__name__}")
    return suite
