"""Writes examples/notebooks/: the examples of the tasks as notebooks, whose options are a cell of settings.

python docs/make_notebooks.py
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
NOTEBOOKS = EXAMPLES / "notebooks"

# One a task.
TASKS = (
    "ner",
    "sequence_labeling",
    "relations",
    "events",
    "reading_comprehension",
    "classification",
    "multiple_choice",
    "cloze",
    "similarity",
    "paraphrase",
    "dialogue",
    "summarization",
    "univae",
    "t_ta",
    "image_classification",
    "wobert",
)

# What the command line of an example is.
SETTINGS = "from types import SimpleNamespace\n\narguments = SimpleNamespace(\n{fields}\n)"


def notebooks() -> dict[Path, str]:
    """Each notebook's file with its text."""
    return {NOTEBOOKS / f"{name}.ipynb": notebook(EXAMPLES / f"{name}.py") for name in TASKS}


def notebook(example: Path) -> str:
    """A notebook, without outputs, that does what an example does."""
    content = {
        "cells": [
            {"cell_type": kind, "id": f"{example.stem}-{number}".replace("_", "-"), "metadata": {}}
            | ({"execution_count": None, "outputs": []} if kind == "code" else {})
            | {"source": source.splitlines(keepends=True)}
            for number, (kind, source) in enumerate(cells(example))
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def cells(example: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each cell: the docstring, imports, what stands between blank lines and the comment above it."""
    source = example.read_text(encoding="utf-8")
    tree = ast.parse(source)
    yield "markdown", _introduction(ast.get_docstring(tree) or "", example)
    imports, body = _parts(tree, source)
    code = "\n".join(code for _, code in body)
    yield "code", "\n\n".join(text for text in (_used(part, code) for part in imports) if text)
    for comment, code in body:
        if comment:
            yield "markdown", comment
        yield "code", code


def _parts(tree: ast.Module, source: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The imports, and comments and code of what follows, with settings in the place of the parser."""
    imports: list[str] = []
    body: list[tuple[str, str]] = []
    settings: list[str] = []
    text = "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip()
    for part in re.split(r"\n\n+(?=[^\s)\]}])", text):
        comment, code = re.fullmatch(r"((?:#[^\n]*\n)*)(.*)", part, re.DOTALL).groups()
        kept = []
        for node in ast.parse(code).body:
            if option := _option(node, code):
                settings.append(option)
            elif ast.unparse(node) == "arguments = parser.parse_args()":
                body.append(("", SETTINGS.format(fields="\n".join(settings))))
            elif not any(isinstance(one, ast.Name) and one.id == "parser" for one in ast.walk(node)):
                kept.append(node)
        if kept and all(isinstance(node, ast.Import | ast.ImportFrom) for node in kept):
            imports.append(part)
        elif kept:
            body.append((re.sub(r"^# ?", "", comment, flags=re.MULTILINE).strip(), _text(kept, code)))
    return imports, body


def _used(imports: str, code: str) -> str:
    """The imports without modules that code does not use; ours is used by being imported."""
    unused = [
        node.names[0].name
        for node in ast.parse(imports).body
        if isinstance(node, ast.Import) and f"{node.names[0].asname or node.names[0].name}." not in code
    ]
    lines = imports.splitlines()
    return "\n".join(line for line in lines if line.removeprefix("import ") not in unused or line == "import hf_ext")


def _introduction(docstring: str, example: Path) -> str:
    """The docstring without the commands that it shows."""
    paragraphs = [one for one in docstring.split("\n\n") if not re.match(r"\s*python ", one)]
    title, _, what = paragraphs[0].partition(": ")
    file = example.relative_to(ROOT).as_posix()
    paragraphs[0] = f"# {title}\n\n{what[:1].upper()}{what[1:]}"
    return "\n\n".join([*paragraphs, f'It does what `{file}` does, and needs `pip install "hf-ext[all]"`.'])


def _option(node: ast.stmt, code: str) -> str:
    """The line of settings of an ``add_argument``, with its help."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return ""
    call = node.value
    if ast.unparse(call.func) != "parser.add_argument":
        return ""
    given: dict[str | None, Any] = {keyword.arg: keyword.value for keyword in call.keywords}
    name = ast.literal_eval(call.args[0]).removeprefix("--").replace("-", "_")
    told = f"    # {ast.literal_eval(given['help'])}\n" if "help" in given else ""
    return f"{told}    {name}={ast.get_source_segment(code, given['default']) if 'default' in given else None},"


def _text(nodes: list[ast.stmt], code: str) -> str:
    """The statements as they stand in the code, from the first to the last of those that follow each other."""
    lines = code.splitlines()
    text, end = "", 0
    for node in nodes:
        # Comments and decorators stand above a statement.
        start = node.lineno - 1
        while start > end and lines[start - 1].startswith(("#", "@")):
            start -= 1
        text += "\n".join(lines[start : node.end_lineno]) + "\n"
        end = node.end_lineno or start
    return text.rstrip("\n")


if __name__ == "__main__":
    NOTEBOOKS.mkdir(exist_ok=True)
    for path, text in notebooks().items():
        path.write_text(text, encoding="utf-8")
