"""Copies of this package's modules that Transformers loads a checkpoint with: flat files, of which one has the classes.

The library takes files of one folder alone, finds those that belong together by lines ``from .<file> import``, and
refuses a file of which an import at its top is not installed, wherever the file is used.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import transformers

from hf_ext.carried_code import FULL
from hf_ext.tasks.base.head import EncoderHead
from hf_ext.version import __version__

MADE = f"# Made by hf-ext {__version__}"
"""How the second line of a file of code begins, up to the version."""

_LICENCE = "# Part of hf_ext; licensed under the Apache License 2.0 (https://www.apache.org/licenses/LICENSE-2.0)."
# What is there wherever Transformers is with PyTorch.
_AT_HAND = {"huggingface_hub", "numpy", "packaging", "safetensors", "tokenizers", "torch", "transformers"}


def header(source: str) -> str:
    """The first lines of a file of code.

    Args:
        source: what it is made of.
    """
    return f"{_LICENCE}\n{MADE} {source}; do not edit.\n"


def full_code(classes: Iterable[type]) -> dict[str, str]:
    """The files of classes: of modules that have them, of what these import, and the one that gives them all.

    Args:
        classes: configs, models, tokenizers, and heads of this package over any encoder.

    Returns:
        Contents by file name.

    Raises:
        ValueError: for a head over an encoder that is neither Transformers' nor this package's.
    """
    lines: dict[str, None] = {}
    heads: list[str] = []
    needed: set[str] = set()

    def take(name: str, module: str) -> None:
        if module.partition(".")[0] == "hf_ext":
            needed.add(module)
            module = f".{flat_name(module)}"
        lines[f"from {module} import {name}"] = None

    for one in classes:
        if issubclass(one, EncoderHead) and one.backbone_class is not None:
            parts: list[Any] = [one.config_class, one.__bases__[0], one.backbone_class]
            for part in parts:
                take(part.__name__, _module_of(part))
            take("head_class", EncoderHead.__module__)
            arguments = ", ".join(part.__name__ for part in parts)
            heads += [f"{one.__name__} = head_class({arguments})", f"{one.__name__}.__module__ = __name__"]
        else:
            take(one.__name__, _module_of(one))
    files = _with_imports(needed)
    entry = [
        header(f"for the classes of this checkpoint, from files {FULL.rpartition('_')[0]}_*.py beside it"),
        '"""The classes of this checkpoint, for `trust_remote_code=True`."""\n',
        "from typing import TYPE_CHECKING\n",
        *sorted(lines),
        *(["", *heads] if heads else []),
        "\nif TYPE_CHECKING:",
        "    # Transformers finds the files that belong together by lines like these, and all at once by these.",
        *(f"    from .{flat_name(module)} import __doc__" for module in sorted(files)),
        "",
    ]
    return {f"{FULL}.py": "\n".join(entry), **{f"{flat_name(module)}.py": text for module, text in files.items()}}


def flat_name(module: str) -> str:
    """The name of a module's file: its own in full, as the last parts of two may be the same."""
    return module.replace(".", "_")


def _module_of(one: type) -> str:
    """Where a class is imported from.

    Raises:
        ValueError: if it is of another package.
    """
    package = one.__module__.partition(".")[0]
    if package == "transformers" and getattr(transformers, one.__name__, None) is one:
        return package
    if package not in ("transformers", "hf_ext"):
        raise ValueError(f"full code needs classes of transformers and hf_ext, got {one.__module__}.{one.__name__}")
    return one.__module__


def _with_imports(modules: Iterable[str]) -> dict[str, str]:
    """The texts of modules and of those that they import, by the module's name."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module], imported = _flattened(module)
            waiting += imported
    return found


@cache
def _flattened(module: str) -> tuple[str, frozenset[str]]:
    """The text of a module with imports of flat files, and the modules that these are of."""
    text = _path(module).read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    imported: set[str] = set()
    tried = {inner for node in ast.walk(tree) if isinstance(node, ast.Try) for inner in ast.walk(node)}
    for node in sorted(_imports(tree), key=lambda node: -node.lineno):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
            new = []
            for alias in node.names:
                home = _home(str(node.module), alias.name)
                imported.add(home)
                named = "" if alias.asname is None else f" as {alias.asname}"
                new.append(
                    f"from . import {flat_name(home)} as {alias.asname or alias.name}"
                    if home == f"{node.module}.{alias.name}"
                    else f"from .{flat_name(home)} import {alias.name}{named}"
                )
        elif node not in tried and _may_lack(node):
            new = ["try:", *(f"    {line[node.col_offset :]}" for line in lines[node.lineno - 1 : node.end_lineno])]
            # In a `try` the library does not look whether it is installed; without it the import fails as it did.
            new += ["except ImportError:", "    raise"]
        else:
            continue
        indent = " " * node.col_offset
        lines[node.lineno - 1 : node.end_lineno] = [indent + line for line in new]
    return header(f"from its module {module}") + "\n".join([*lines, ""]), frozenset(imported)


def _imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def _is_ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] == "hf_ext"


def _may_lack(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether an import may fail where Transformers and PyTorch are installed."""
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
    return any(name.partition(".")[0] not in _AT_HAND | sys.stdlib_module_names for name in names)


def _home(module: str, name: str) -> str:
    """The module that defines what is imported from a module or, by its ``__init__``, from a package."""
    if _path(module).stem != "__init__":
        return module
    if find_spec(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    for node in _imports(ast.parse(_path(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module) and name in {each.name for each in node.names}:
            return _home(str(node.module), name)
    return module


def _path(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None, module
    return Path(str(spec.origin))
