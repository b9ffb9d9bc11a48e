"""The documents name what exists: every public name, and only commands, options and files that are there."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer

import hf_ext
from hf_ext.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
DOCUMENTS += sorted((ROOT / "model_cards").glob("*.md"))
PUBLIC = sorted(set(hf_ext.__all__) - {"__version__"}, key=str.lower)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "bash", "console")
ROW = re.compile(r"^\| \[`(\w+)`\]\((\S+)\) \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def commands(program):
    """Calls of a program in the documents' shell blocks, each as its words after the program's name."""
    found = []
    for document in filter(Path.is_file, DOCUMENTS):
        blocks = FENCE.findall(document.read_text(encoding="utf-8"))
        for block in (text for language, text in blocks if language in SHELL):
            for line in block.replace("\\\n", " ").splitlines():
                before, separator, _ = line.partition(program + " ")
                if separator and before in ("", "$ ", "python -m ", ".venv/bin/"):
                    words = shlex.split(line.removeprefix(before), comments=True)
                    found.append(pytest.param(words[1:], id=" ".join(words)))
    return found


def test_public_names_are_sorted_into_the_index():
    rows = ROW.findall((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    assert [name for name, _, _ in rows] == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring_and_a_test(name):
    thing = getattr(hf_ext, name)
    assert inspect.getdoc(thing)
    sources = [file for file in (ROOT / "tests").glob("test_*.py") if file.name != Path(__file__).name]
    assert any(re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")) for file in sources)


@pytest.mark.parametrize("name", PUBLIC)
def test_index_links_to_the_file_that_defines_the_name(name):
    links = {name: link for name, link, _ in ROW.findall((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))}
    home = ROOT / "docs" / links[name]
    thing = getattr(hf_ext, name)
    assert home.is_file()
    assert home.resolve() == Path(inspect.getsourcefile(thing) or "").resolve()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_to_files_hold(document):
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("words", commands("make"))
def test_make_targets_exist(words):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


@pytest.mark.parametrize("words", commands("hf-ext"))
def test_subcommands_and_options_exist(words):
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands") or words[:1] in (["--help"], ["--version"]), words
    parameters = command.load().params if hasattr(command, "load") else command.params
    known = {option for parameter in parameters for option in parameter.opts} | {"--help"}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known


@pytest.mark.parametrize("words", commands("python"))
def test_scripts_exist(words):
    scripts = [word for word in words if word.endswith(".py") and "/" in word]
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


@pytest.mark.parametrize("words", commands("pip"))
def test_extras_exist(words):
    extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
    source = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert [
        extra for one in extras for extra in one.split(",") if not re.search(rf"^{extra} = ", source, re.MULTILINE)
    ] == []
