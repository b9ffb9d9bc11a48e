"""`hf-ext push`, from a Hub on loopback."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub
from transformers import BertConfig
from typer.testing import CliRunner

import hf_ext
from hf_ext.cli import app
from hf_ext.hub import push_model


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["push", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sizes = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**sizes, intermediate_size=8, id2label={0: "人"}, label2id={"人": 0})
    path = tmp_path / "model"
    hf_ext.AutoModelForSpanExtraction.from_config(config, span_head_size=4).save_pretrained(path)
    (path / "checkpoint-5").mkdir()
    (path / "checkpoint-5" / "optimizer.pt").touch()
    return path


def test_a_folder_goes_as_it_is(folder: Path, hub: FakeHub) -> None:
    result = run(folder, "org/name", "--private")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"{hub.address}/org/name"
    assert hub.repositories["org/name"].private
    wanted = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    assert hub.repositories["org/name"].files == wanted


def test_a_mistyped_folder(folder: Path) -> None:
    result = run(f"{folder}s", "org/name")
    assert str(result.exception) == f"folder must be there, got {folder}s; did you mean {folder}?"


@pytest.mark.parametrize("code", ["thin", "full"])
def test_code_is_written_first(code: str, folder: Path, hub: FakeHub) -> None:
    assert run(folder, "org/name", "--code", "full").exit_code == 0
    assert run(folder, "org/name", "--code", code).exit_code == 0
    files = hub.repositories["org/name"].files
    assert json.loads(files["config.json"])["auto_map"]
    assert [name for name in files if name in ("hf_ext_thin.py", "hf_ext_full.py")] == [f"hf_ext_{code}.py"]
    assert {name for name in files if name.endswith(".py")} == {file.name for file in folder.glob("*.py")}


def test_no_code_is_written_where_nothing_can_be_uploaded(
    folder: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    with pytest.raises(PermissionError, match="there must be a token"):
        push_model(folder, "org/name", code="full")
    with pytest.raises(ValueError, match="folder must hold a saved model"):
        push_model(folder.parent, "org/name", code="full")
    assert {file: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before
