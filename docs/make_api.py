"""Writes docs/api.md: the public names, from the stubs that list them, with the first sentences of their docstrings.

python docs/make_api.py
"""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"

INTRODUCTION = """\
# Public names

`import hf_ext` registers everything with Transformers and PEFT. The names of the first table are `hf_ext.<name>`; the
others are imported from the package that heads their table: `from hf_ext.tasks.entities import read_entities`. A name
is imported when it is first used. Shapes, errors and sources are in the docstrings, behind the links.

`make docs` writes this page, from the `__init__.pyi` of each package and the first sentences of the docstrings.
"""


def public_packages() -> list[str]:
    """The packages with public names: the root, those with a stub, and the losses; the tasks last."""
    stubs = (file.parent.relative_to(ROOT) for file in (ROOT / "hf_ext").rglob("__init__.pyi"))
    names = {".".join(folder.parts) for folder in stubs} | {"hf_ext.losses"}
    return sorted(names, key=lambda name: (name.startswith("hf_ext.tasks."), name))


def public_names(package: str) -> list[str]:
    """The names of a package, without regard to case."""
    return sorted(set(import_module(package).__all__) - {"__version__"}, key=lambda name: (name.lower(), name))


def defining_module(package: str, name: str) -> str:
    """The full name of the module that defines a name of a package."""
    thing = getattr(import_module(package), name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return thing.__module__
    # Of a constant, the module that its package imports it from.
    for module, names in _imported(package):
        if name in names:
            return module
    raise ValueError(f"{package}.{name} must be a class, a function, or a constant that {package} imports by name")


def docstring(package: str, name: str) -> str:
    """The docstring of a public name; of a constant, the text below it."""
    thing = getattr(import_module(package), name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return inspect.cleandoc(thing.__doc__ or "")
    body = ast.parse(inspect.getsource(import_module(defining_module(package, name)))).body
    for node, below in pairwise(body):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return inspect.cleandoc(_text(below))
    return ""


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, without its full stop and Sphinx's roles, fit for the cell of a table."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence = re.split(r"\.(?= [A-Z`]|$)", paragraph, maxsplit=1)[0]
    return re.sub(r":\w+:(?=`)", "", sentence).replace("``", "`").replace("|", r"\|")


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(line for package in public_packages() for line in _section(package))])


def _section(package: str) -> Iterator[str]:
    yield f"## `{package}`"
    yield ""
    summary = inspect.cleandoc(import_module(package).__doc__ or "").partition("\n")[0]
    yield summary
    yield ""
    yield "| name | what it is |"
    yield "|---|---|"
    for name in public_names(package):
        file = Path(str(import_module(defining_module(package, name)).__file__)).relative_to(ROOT)
        yield f"| [`{name}`](../{file.as_posix()}) | {first_sentence(docstring(package, name))} |"
    yield ""


def _imported(package: str) -> Iterator[tuple[str, set[str]]]:
    """The modules that a package, or its stub if it has one, imports from, each with the names."""
    file = Path(str(import_module(package).__file__))
    # The package itself imports what its stub says when it is asked for it.
    stub = file.with_suffix(".pyi")
    for node in ast.walk(ast.parse((stub if stub.is_file() else file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield resolve_name(f"{'.' * node.level}{node.module}", package), {alias.name for alias in node.names}


def _text(node: Any) -> str:
    return node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
