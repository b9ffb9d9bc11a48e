"""The list of articles has what the package names, in order, each with a place and something to run."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hf_ext.cli import app
from hf_ext.tasks.base.command import jobs_of_command
from hf_ext.tasks.base.job_parser import JobParser
from studies.__main__ import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "articles.md"
ARTICLE = re.compile(r"\[(\d+)\]\(https://kexue\.fm/archives/\1\)")
NAMED = re.compile(r"kexue\.fm/archives/(\d+(?:(?:, | and )\d{4,5})*)")
LINES = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text("utf-8").splitlines() if "|" in line
]
# Below the titles and the rule.
ROWS = {cells[0].partition("]")[0].removeprefix("["): cells for cells in LINES[2:]}


def articles_named_in(text: str) -> set[str]:
    """Numbers behind the address, and those listed behind the first."""
    return {number for group in NAMED.findall(text) for number in re.findall(r"\d+", group)}


def test_every_article_that_the_package_names_has_a_row():
    files = [*(ROOT / "hf_ext").rglob("*.py*"), *(ROOT / "studies").glob("*.py"), *(ROOT / "model_cards").glob("*.md")]
    files += [file for file in (ROOT / "docs").rglob("*.md") if file != PAGE]
    texts = [file.read_text(encoding="utf-8") for file in files if file.suffix != ".pyc"]
    assert {number for text in texts for number in articles_named_in(text)} - ROWS.keys() == set()


def test_articles_named_in_a_text():
    text = "(kexue.fm/archives/8265, 8998; arXiv 2104.09864), kexue.fm/archives/7359 and 9064, [8](https://kexue.fm/archives/99)"
    assert articles_named_in(text) == {"8265", "8998", "7359", "9064", "99"}


def test_rows_are_in_order_and_once():
    numbers = [int(number) for number in ROWS]
    assert numbers == sorted(numbers) != []
    assert len(numbers) == len(LINES) - 2


@pytest.mark.parametrize("number", ROWS)
def test_a_row_says_what_and_where_and_how(number):
    """Paths and dotted names are tested with those of all documents."""
    address, what, where, run, found = ROWS[number]
    assert ARTICLE.fullmatch(address)
    assert what
    assert "](../hf_ext/" in where
    (command,) = re.fullmatch(r"`([^`]+)`", run).groups()
    check_command(command.split())
    # What an experiment is run for stands beside it.
    assert found or not command.startswith("python -m studies")


def check_command(words: list[str]) -> None:
    if words[0] == "python":
        if words[1] == "-m":
            assert words[2:4] == ["studies", "--only"]
            assert words[4] in EXPERIMENTS
        else:
            assert (ROOT / words[1]).is_file()
    elif words[0] == "hf-ext":
        check_options(words[1:])
    else:
        module, _, name = words[0].rpartition(".")
        assert hasattr(import_module(module), name)


def check_options(words: list[str]) -> None:
    """That the words name a command, and options of a job with values that these have."""
    command = typer.main.get_command(app)
    group, name = words[0], ""
    while words and words[0] in getattr(command, "commands", {}):
        name, *words = words
        command = command.commands[name]
    assert not hasattr(command, "commands")
    if group == "train":
        options = {option.flag: option for option in JobParser(jobs_of_command(name)).options.values()}
        for flag, value in zip(words[::2], words[1::2], strict=True):
            assert value in (options[flag].choices or [value])
    else:
        assert not words


@pytest.mark.parametrize(
    "command",
    [
        "hf-ext train",
        "hf-ext train ner --head crff",
        "hf-ext train ner --heads crf",
        "hf_ext.none",
        "python examples/none.py",
        "python -m studies --only none",
    ],
)
def test_commands_that_are_none(command):
    with pytest.raises((AssertionError, KeyError)):
        check_command(command.split())
