"""The documents name what exists: every public name, and only commands, options and files that are there."""

import ast
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from huggingface_hub import ModelCard
from models_tiny import all_cases

from hf_ext.cli import app

ROOT = Path(__file__).resolve().parents[2]
MAKE_API = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "make_api.py")))
MAKE_CARDS = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "make_cards.py")))
CARDS = sorted((ROOT / "model_cards").glob("*.md"))
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "README_zh.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
DOCUMENTS += CARDS
PUBLIC = [(package, name) for package in MAKE_API.public_packages() for name in MAKE_API.public_names(package)]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "bash", "console")
DOTTED = re.compile(r"(?<![\w./-])hf_ext(?:\.[A-Za-z_]\w*)+")
IMPORT = re.compile(r"from (hf_ext[\w.]*) import (\([^)]*\)|[^\n(`]+)")
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


def used_names(tree: ast.AST) -> Iterator[str]:
    """Names that code does something with: not those that it only imports, or says in a text."""
    for node in ast.walk(tree):
        # A table of cases may hold what a test then calls.
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr


@cache
def names_used_in_tests() -> frozenset[str]:
    files = (ROOT / "tests").rglob("*.py")
    written = {name for file in files for name in used_names(ast.parse(file.read_text(encoding="utf-8")))}
    # The common tests of models find most classes by a family and an Auto class.
    return frozenset(written | {case.model_class.__name__ for _, _, case in all_cases()})


def test_use_of_a_name_is_not_its_mention():
    code = "import a.one\nfrom b import two, three as four\ndef test(five): 'six'\nseven.eight(nine)\n[ten]\neleven = 1"
    assert set(used_names(ast.parse(code))) == {"seven", "eight", "nine", "ten"}


def test_index_is_made_of_the_stubs_and_the_docstrings():
    """`make docs` writes it."""
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == MAKE_API.page()


@pytest.mark.parametrize(("file", "text"), MAKE_CARDS.cards().items(), ids=lambda one: getattr(one, "name", ""))
def test_cards_of_tasks_are_made_of_their_templates(file, text):
    """`python docs/make_cards.py` writes them."""
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("file", CARDS, ids=lambda file: file.name)
def test_cards_have_metadata_that_the_hub_reads(file):
    data = ModelCard.load(file).data
    language = None if data.pipeline_tag.startswith("image-") else "zh"
    assert (data.language, bool(data.license), data.library_name in ("hf-ext", "transformers")) == (
        language,
        True,
        True,
    )
    assert "hf_ext" in data.tags
    assert data.pipeline_tag


def test_index_has_every_package_with_a_stub():
    stubs = [file.parent.relative_to(ROOT).parts for file in (ROOT / "hf_ext").rglob("*.pyi")]
    assert {".".join(parts) for parts in stubs} <= set(MAKE_API.public_packages())


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_public_name_has_a_docstring_and_a_test(package, name):
    assert getattr(import_module(package), name) is not None
    assert MAKE_API.docstring(package, name)
    assert name in names_used_in_tests()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One"),
        ("One of\n    two lines.\n\nMore.", "One of two lines"),
        ("As e.g. this, or 1.5. More", "As e.g. this, or 1.5"),
        ("Of :func:`a.b`, ``c | d``.", r"Of `a.b`, `c \| d`"),
        ("No stop", "No stop"),
    ],
)
def test_first_sentence(text, sentence):
    assert MAKE_API.first_sentence(text) == sentence


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_to_files_hold(document):
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def names_of_ours(text: str) -> set[str]:
    """The full names of what a text imports from the package or names with its dots."""
    imported = [
        f"{module}.{name}"
        for module, names in IMPORT.findall(text)
        for name in re.findall(r"\w+", re.sub(r"#.*| as \w+", "", names))
    ]
    return {*imported, *DOTTED.findall(text)}


def exists(name: str) -> bool:
    """Whether a full name is that of a module, or of an attribute of one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing = import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            thing = getattr(thing, part, None)
        return thing is not None
    return False


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_names_of_ours_exist(document):
    names = names_of_ours(document.read_text(encoding="utf-8"))
    assert [name for name in sorted(names) if not exists(name)] == []


def test_names_of_ours_are_found_in_a_text():
    text = (
        "Use `hf_ext.a.b(c)` of hf_ext/file.py:\nfrom hf_ext.d import e, f as g\nfrom hf_ext import (\n    h,  # i\n)\n"
    )
    assert names_of_ours(text) == {"hf_ext.a.b", "hf_ext.d", "hf_ext.d.e", "hf_ext.d.f", "hf_ext.h"}
    assert exists("hf_ext.Whitening.fit")
    assert not exists("hf_ext.read_entities")
    assert not exists("hf_ext.data.nothing.at_all")


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
