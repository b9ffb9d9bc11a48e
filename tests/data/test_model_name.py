"""What is said of a model that is not there."""

import re
from pathlib import Path

import pytest
from fake_hub import FakeHub, Repository
from huggingface_hub import constants, hf_hub_download

from hf_ext.data.model_name import check_model_name

FOLDERS = ("ner-model", "ner-model-2", "vectors")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    (tmp_path / "ner-modem").touch()
    monkeypatch.chdir(tmp_path)


def refused(name: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        check_model_name(name)


def test_what_is_here_is_asked_of_nobody(hub: FakeHub, tmp_path: Path) -> None:
    asked: list[str] = []
    hub.breaks = lambda request: asked.append(request) or False
    for name in ("ner-model", "./ner-model/", tmp_path / "vectors", "ner-modem"):
        check_model_name(name)
    for name in ("./ner-modle", "/absent/model", "~/model", "../model", "a/b/model", "absent/"):
        with pytest.raises(ValueError, match=re.escape(f"model must be there, got {name}: no such folder")):
            check_model_name(name)
    # What the Hub has no such names of.
    refused("my model", "model must be there, got my model: no such folder")
    assert asked == []


def test_folders_of_nearly_that_name(hub: FakeHub, tmp_path: Path) -> None:
    no = f"no such folder, and no such name on 127.0.0.1:{hub.server_port}"
    refused("ner-modle", f"model must be there, got ner-modle: {no}; did you mean ner-model or ner-model-2?")
    refused("nothing-like-it", f"model must be there, got nothing-like-it: {no}")
    path = f"{tmp_path}/vector"
    refused(path, f"model must be there, got {path}: no such folder; did you mean {tmp_path}/vectors?")
    with pytest.raises(ValueError, match=r"^tokenizer must be there, got org/absent: no such folder, and no such name"):
        check_model_name("org/absent", "tokenizer")


def test_names_on_the_hub(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["org/name"] = Repository(private=False, branches={"main": {"config.json": b"{}"}})
    # Of an adapter, say.
    hub.repositories["org/other"] = Repository(private=False)
    check_model_name("org/name")
    check_model_name("org/other")
    hub.breaks = lambda request: True
    no = f"no such folder, and 127.0.0.1:{hub.server_port} cannot be asked for one of that name"
    refused("org/name", f"model must be there, got org/name: {no}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused("org/name", f"model must be there, got org/name: {no}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.breaks = lambda request: False
    hf_hub_download("org/name", "config.json")
    # From now on it is in the cache.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    check_model_name("org/name")
