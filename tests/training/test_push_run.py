"""What a run with ``push_to_hub`` uploads, and that it does not begin where it could not."""

import re
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub, Repository
from jobs_tiny import JOBS
from transformers import AutoModelForSeq2SeqLM

from hf_ext.training.upload import upload


def run(folder: Path, name: str = "spans", **arguments: Any) -> Path:
    """Run a job with checkpoints; the folder of what it wrote."""
    JOBS[name].write(folder)
    output = folder / "model"
    JOBS[name].make(folder).run(
        JOBS[name].arguments(output, **{"max_steps": 2, "save_strategy": "steps", "save_steps": 1, **arguments})
    )
    return output


def written(folder: Path) -> dict[str, bytes]:
    """What is to be uploaded of a folder."""
    left_out = {"trainer_state.json", "training_args.bin", "report.json", "report.html", "summaries.jsonl"}
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name not in left_out}


def test_all_that_a_job_writes_goes_once_it_is_written(tmp_path: Path, hub: FakeHub) -> None:
    output = run(
        tmp_path / "run", "summaries", push_to_hub=True, hub_model_id="org/titles", hub_private_repo=True,
        hub_strategy="end",
    )  # fmt: skip
    repository = hub.repositories["org/titles"]
    assert repository.private
    assert repository.messages == ["End of training"]
    assert repository.files == written(output)
    assert {"scores.json", "curves.png", "model.safetensors"} <= {*repository.files}
    assert (output / "summaries.jsonl").is_file()
    AutoModelForSeq2SeqLM.from_pretrained("org/titles")


def test_uploads_beside_the_training_end_with_the_finished_model(tmp_path: Path, hub: FakeHub) -> None:
    output = run(tmp_path / "run", push_to_hub=True)
    repository = hub.repositories["user/model"]
    # The second only if the first has ended by then.
    assert repository.messages[0] == "Training in progress, step 1"
    assert repository.messages[-1] == "End of training"
    assert {name: repository.files[name] for name in written(output)} == written(output)
    assert [name for name in repository.files if name.startswith(("checkpoint", "optimizer"))] == []


def test_to_a_branch(tmp_path: Path, hub: FakeHub) -> None:
    run(tmp_path / "run", push_to_hub=True, hub_model_id="org/name", hub_strategy="end", hub_revision="v2")
    assert {name: bool(files) for name, files in hub.repositories["org/name"].branches.items()} == {
        "main": False,
        "v2": True,
    }


def refused(folder: Path, error: type[Exception], wanted: str, **arguments: Any) -> None:
    with pytest.raises(error, match=wanted):
        run(folder, push_to_hub=True, hub_model_id="org/name", **arguments)
    assert not (folder / "model").exists()


def test_a_run_that_may_not_upload_does_not_begin(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "hub_token must be left out, .*; log in by `hf auth login`, or set HF_TOKEN$"
    refused(tmp_path / "token", ValueError, wanted, hub_token="hf_secret")
    hub.repositories["org/name"] = Repository(private=False)
    refused(tmp_path / "public", ValueError, "org/name is public", hub_private_repo=True)
    hub.breaks = lambda request: True
    refused(tmp_path / "broken", ConnectionError, "making org/name was broken off")
    monkeypatch.delenv("HF_TOKEN")
    refused(tmp_path / "none", PermissionError, "there must be a token to write to")


def test_a_broken_upload_leaves_the_model_whole(tmp_path: Path, hub: FakeHub) -> None:
    output = tmp_path / "run" / "model"
    hub.breaks = lambda request: "/commit/" in request
    with pytest.raises(ConnectionError, match=re.escape(f"`hf-ext push {output} org/name` goes on with it")):
        run(tmp_path / "run", push_to_hub=True, hub_model_id="org/name", hub_strategy="end")
    assert {"scores.json", "curves.png", "model.safetensors", "config.json", "tokenizer.json"} <= {*written(output)}
    assert hub.repositories["org/name"].files == {}
    hub.breaks = lambda request: False
    upload(output, "org/name")
    assert hub.repositories["org/name"].files == written(output)
    # The folder's card stays as it is.
    upload(output, "org/other")
    card = hub.repositories["org/other"].files["README.md"].decode()
    assert 'model="org/other"' in card
    assert "org/name" not in card
    assert 'model="org/name"' in (output / "README.md").read_text(encoding="utf-8")
