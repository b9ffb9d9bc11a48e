"""What goes to the Hub of a trained folder, from a Hub on loopback."""

import re
from pathlib import Path

import pytest
import torch
from fake_hub import FakeHub, Repository
from transformers import BertConfig, pipeline

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.training.upload import files_to_upload, upload

TEXT = "张三在北京大学"
LEFT_OUT = (
    "checkpoint-5/model.safetensors",
    "checkpoint-5/optimizer.pt",
    "optimizer.pt",
    "optimizer_0/state.bin",
    "scheduler.pt",
    "scaler.pt",
    "rng_state_0.pth",
    "trainer_state.json",
    "trials.json",
    "trials/2/model.safetensors",
    "training_args.bin",
    ".config.json.0123.draft",
    ".cache/huggingface/notes",
    "__pycache__/code.pyc",
)
SENT = ("README.md", "curves.png", "scores.json", "hf_ext_here.py", "runs/events.out.tfevents.1", "vocab.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with all that may lie beside it."""
    torch.manual_seed(0)
    path = tmp_path / "model"
    tokenizer = build_char_tokenizer([TEXT])
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = BertConfig(vocab_size=len(tokenizer), **sizes, id2label={0: "人"}, label2id={"人": 0})
    hf_ext.AutoModelForSpanExtraction.from_config(config, span_head_size=4).save_pretrained(path)
    tokenizer.save_pretrained(path)
    for name in (*LEFT_OUT, *SENT):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("---\nlicense: mit\n---\n" if name == "README.md" else name, encoding="utf-8")
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_uses_the_model_goes_and_nothing_of_its_training(folder: Path, hub: FakeHub) -> None:
    before = content(folder)
    assert upload(folder, "org/name") == f"{hub.address}/org/name"
    assert content(folder) == before
    files = hub.repositories["org/name"].files
    assert files == {name: data for name, data in before.items() if name not in LEFT_OUT}
    assert {*SENT, "config.json", "model.safetensors", "tokenizer.json"} <= {*files}
    assert hub.repositories["org/name"].messages == ["Upload model"]
    assert not hub.repositories["org/name"].private


def test_what_was_pushed_is_used_by_its_name(folder: Path, hub: FakeHub) -> None:
    upload(folder, "org/name")
    found, wanted = (
        pipeline("span-extraction", model=name, device="cpu", threshold=0)(TEXT) for name in ("org/name", str(folder))
    )
    assert found
    assert found == wanted


def test_the_same_again_is_no_commit_and_what_changed_is_one(folder: Path, hub: FakeHub) -> None:
    for _ in range(2):
        upload(folder, "org/name")
    repository = hub.repositories["org/name"]
    assert len(repository.messages) == 1
    (folder / "scores.json").write_text("{}")
    uploads = len(hub.uploads)
    upload(folder, "org/name", message="New scores")
    assert repository.messages == ["Upload model", "New scores"]
    assert repository.files["scores.json"] == b"{}"
    assert len(hub.uploads) == uploads


def test_weights_and_code_that_are_not_of_this_model_go(folder: Path, hub: FakeHub) -> None:
    """Else `from_pretrained` might take them: of a single file and of shards, it takes the single file."""
    stale = ("pytorch_model.bin", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "hf_ext_full.py")
    others = ("onnx/model.safetensors", "handler.py", "embeddings.bin", "hf_ext_here.py")
    there = dict.fromkeys((*stale, *others), b"x")
    hub.repositories["org/name"] = Repository(private=False, branches={"main": there})
    upload(folder, "org/name")
    files = hub.repositories["org/name"].files
    assert [name for name in (*stale, *others) if name in files] == [*others]


def test_a_branch_is_made(folder: Path, hub: FakeHub) -> None:
    upload(folder, "org/name", revision="v2")
    branches = hub.repositories["org/name"].branches
    assert {name: len(files) > 5 for name, files in branches.items()} == {"main": False, "v2": True}


def test_a_private_repository(folder: Path, hub: FakeHub) -> None:
    for _ in range(2):
        upload(folder, "org/name", private=True)
    assert hub.repositories["org/name"].private
    # What is there stays as it is.
    upload(folder, "org/name")
    hub.repositories["org/public"] = Repository(private=False)
    with pytest.raises(ValueError, match="private has no effect on a repository that is there, and org/public is pub"):
        upload(folder, "org/public", private=True)
    assert hub.repositories["org/public"].files == {}


BREAKS = {
    "as it looks what is there": "GET /api/models/org/name/tree/main",
    "before the weights": "PUT /blobs/",
    "before the commit": "POST /api/models/org/name/commit/main",
}


@pytest.mark.parametrize("where", BREAKS)
def test_a_break_leaves_both_sides_whole_and_the_push_goes_on(where: str, folder: Path, hub: FakeHub) -> None:
    before = content(folder)
    hub.breaks = lambda request: request.startswith(BREAKS[where])
    wanted = (
        rf"^the upload to org/name was broken off \(.+\); {folder} is as it was, and `hf-ext push {folder} org/name`"
    )
    with pytest.raises(ConnectionError, match=wanted):
        upload(folder, "org/name")
    assert content(folder) == before
    assert hub.repositories["org/name"].files == {}
    sent = len(hub.uploads)
    assert sent == (2 if where == "before the commit" else 0)
    hub.breaks = lambda request: False
    upload(folder, "org/name")
    assert {*hub.repositories["org/name"].files} == {*before} - {*LEFT_OUT}
    # The weights and the curves, each once.
    assert len(hub.uploads) == len({*hub.uploads}) == 2


def test_without_a_token_nothing_is_asked(folder: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    hub.breaks = lambda request: asked.append(request) or False
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PermissionError, match=r"there must be a token .*: log in by `hf auth login`, or set HF_TOKEN$"):
        upload(folder, "org/name")
    assert asked == []
    monkeypatch.setenv("HF_TOKEN", "hf_of_someone_else")
    with pytest.raises(PermissionError, match=r"may write, and making org/name was refused: .*401"):
        upload(folder, "org/name")


def test_a_hub_that_is_not_reached(folder: Path, hub: FakeHub) -> None:
    hub.breaks = lambda request: True
    with pytest.raises(ConnectionError, match=r"^making org/name was broken off \(.+\)$"):
        upload(folder, "org/name")


def test_a_card_that_the_hub_does_not_take_is_said_before_anything_is_sent(folder: Path, hub: FakeHub) -> None:
    (folder / "README.md").write_text("---\nlicense: mit\n")
    with pytest.raises(ValueError, match="the first block is not closed"):
        upload(folder, "org/name")
    assert hub.uploads == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("name", "the repository must be named with its owner, ORG/NAME, got name"),
        ("a/b/c", "a/b/c"),
        ("org/na me", "org/na me"),
    ],
)
def test_names_of_repositories(name: str, wanted: str, folder: Path, hub: FakeHub) -> None:
    with pytest.raises(ValueError, match=re.escape(wanted)):
        upload(folder, name)
    assert hub.repositories == {}


def test_only_a_model_is_pushed(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", folder / "config.json"):
        with pytest.raises(ValueError, match=f"^folder must be there, got {path}$"):
            files_to_upload(path)
    wanted = rf"^folder must hold a saved model, its config and its weights, got {tmp_path}"
    with pytest.raises(ValueError, match=wanted):
        files_to_upload(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=wanted):
        files_to_upload(folder)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {*files_to_upload(tmp_path)}
    # A checkpoint by its own name is meant.
    checkpoint = folder / "checkpoint-5"
    (checkpoint / "config.json").touch()
    assert files_to_upload(checkpoint) == ["config.json", "model.safetensors"]
