"""`hf-ext tokenize`: tables, JSON lines and a page of what `tokenized_text` tells."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from word_vocabulary import ENTRIES

from hf_ext import JiebaWordPieceTokenizer
from hf_ext.analysis import tokenized_text
from hf_ext.cli import app

TEXTS = ["北京大学的学生[MASK]", "Ａ<b>\u200b[bold]\x1b[1m", "好"]


def run(*arguments: Any, **options: Any) -> Any:
    return CliRunner().invoke(app, ["tokenize", *map(str, arguments)], **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    entries = {entry: index for index, entry in enumerate(ENTRIES)}
    JiebaWordPieceTokenizer(entries, model_max_length=9).save_pretrained(folder)
    return folder


def test_json_lines_are_what_the_function_gives(folder, tmp_path):
    tokenizer = JiebaWordPieceTokenizer.from_pretrained(folder)
    wanted = [json.loads(json.dumps(tokenized_text(tokenizer, text).as_dict())) for text in TEXTS]
    typed = run(folder, *TEXTS, "--json")
    assert typed.exit_code == 0, typed.exception
    assert [json.loads(line) for line in typed.stdout.splitlines()] == wanted
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    written = run(folder, "--file", tmp_path / "texts.jsonl", "--output", tmp_path / "tokens.jsonl")
    assert (written.exit_code, written.stdout) == (0, "")
    lines = (tmp_path / "tokens.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == wanted
    piped = run(folder, "--json", input="好\n")
    assert [json.loads(line) for line in piped.stdout.splitlines()] == wanted[2:]


def test_table_shows_all_and_moves_no_cursor(folder):
    shown = run(folder, *TEXTS)
    assert shown.exit_code == 0, shown.exception
    assert "北京大学: not in the vocabulary: cut" in shown.stdout
    assert "normalised to ａ" in shown.stdout
    assert "[bold]\\x1b[1m" in shown.stdout
    assert "left out: \\u200b at 4" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "text 2 has 15 tokens, more than the 9 that a model is given of it" in shown.stderr
    assert "text 3" not in shown.stderr


def test_page(folder, tmp_path):
    made = run(folder, *TEXTS, "--html", tmp_path / "page.html")
    assert (made.exit_code, made.stdout) == (0, "")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Tokens of JiebaWordPieceTokenizer" in page
    assert "Ａ&lt;b&gt;" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere/at/all", "好"], "tokenizer must be there, got nowhere/at/all"),
        (["FOLDER", "好", "--file", "FILE"], "give either texts or --file"),
        (["FOLDER", "好", "--json", "--output", "one"], "give either --json"),
        (["FOLDER", "--file", "FILE", "--html", "FILE"], "must not be the file of the texts"),
        (["FOLDER", "好", "--html", "one", "--output", "one"], "must be files of their own"),
        (["FOLDER", "好", "--html", "nowhere/one"], "must be in a folder that exists"),
        (["FOLDER", "--file", "EMPTY"], "must have at least one text"),
        (["FOLDER", "\udc80"], "texts"),
    ],
)
def test_what_cannot_be_done_is_refused(folder, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("好\n", encoding="utf-8")
    Path("empty.txt").touch()
    places = {"FOLDER": folder, "FILE": "texts.txt", "EMPTY": "empty.txt"}
    refused = run(*(places.get(one, one) for one in arguments))
    assert refused.exit_code != 0
    assert message in f"{refused.exception} {' '.join(refused.stderr.split())}"
    assert Path("texts.txt").read_text(encoding="utf-8") == "好\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["empty.txt", "texts.txt"]
