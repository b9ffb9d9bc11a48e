"""What a run looks at first, what it says before its bar, and that its checkpoints go at its end."""

import json
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub
from jobs_tiny import JOBS


def run(folder: Path, name: str = "spans", options: dict[str, Any] | None = None, **arguments: Any) -> Path:
    case = JOBS[name]
    if not folder.exists():
        case.write(folder)
    given = {**case.options, "config": str(folder / "config"), **(options or {})}
    job = case.job(folder / "train.jsonl", folder / "validation.jsonl", **given)
    settings = {"disable_tqdm": False, "max_steps": 1, "eval_strategy": "no", **arguments}
    job.run(case.arguments(folder / "model", **settings))
    return folder / "model"


def test_of_windows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "job", options={"max_length": 6, "stride": None})
    files = [f"{number} texts in {tmp_path}/job/{name}.jsonl" for number, name in ((8, "train"), (5, "validation"))]
    text = capfd.readouterr().err
    block = text[: text.index("training ━")]
    assert block.startswith(f"{files[0]}, {files[1]}; 2 labels\n")
    assert "BertForSpanExtraction, " in block
    assert " parameters, on cpu in float32\n" in block
    for name, row in (("training", "train"), ("evaluation", "validation")):
        lines = (tmp_path / "job" / f"{row}.jsonl").read_text(encoding="utf-8").splitlines()
        lengths = [len(json.loads(line)["text"]) for line in lines]
        # A window of six has four characters beside its special tokens, of which the next one repeats the last.
        windows = sum(max(1, ceil((length - 1) / 3)) for length in lengths)
        assert f"{name}: {len(lines)} texts in {windows} windows of at most 6 tokens\n" in block
    # What libraries print of their own.
    assert not any(other in text for other in ("Map", "Writing model shards", "Loading weights", "LOAD REPORT"))


def test_of_rows_that_are_cut_off(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "job", "classes", {"max_length": 10})
    block = capfd.readouterr().err
    rows = [
        json.loads(line)["text"] for line in (tmp_path / "job" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    # With the two special tokens.
    full = sum(len(text) + 2 >= 10 for text in rows)
    assert 0 < full < 8
    assert f"training: {full} of 8 texts fill all 10 tokens; what is longer is cut off" in block


def test_nothing_is_said_where_no_progress_is_wanted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "job", disable_tqdm=True)
    assert " texts in " not in capfd.readouterr().err


@pytest.mark.parametrize("what", ["model", "tokenizer", "config"])
def test_names_are_looked_up_first(what: str, tmp_path: Path, hub: FakeHub) -> None:
    (tmp_path / "job-model").mkdir()
    options: dict[str, Any] = {what: f"{tmp_path}/job-modle"}
    if what == "model":
        options["config"] = None
    with pytest.raises(
        ValueError, match=f"^{what} must be there, .*: no such folder; did you mean {tmp_path}/job-model"
    ):
        run(tmp_path / "job", options=options)


def test_a_report_to_what_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^report_to must name what is installed, got \['trackio'\]: .*pip install tr"
    ):
        run(tmp_path / "job", report_to="trackio")


@pytest.mark.parametrize("keep", [False, True])
def test_checkpoints_stay_only_if_they_are_to(keep: bool, tmp_path: Path) -> None:
    settings = {"save_strategy": "steps", "save_steps": 1, "max_steps": 2}
    folder = run(tmp_path / "job", options={"keep_checkpoints": keep}, **settings)
    assert {file.name for file in folder.glob("checkpoint-*")} == ({"checkpoint-1", "checkpoint-2"} if keep else set())
    assert (folder / "model.safetensors").exists()
    if not keep:
        with pytest.raises(ValueError, match="a run that has ended leaves none unless keep_checkpoints is given"):
            run(tmp_path / "job", **settings, resume_from_checkpoint=True)


def test_checkpoints_stay_where_it_is_said_how_many(tmp_path: Path) -> None:
    folder = run(tmp_path / "job", save_strategy="steps", save_steps=1, max_steps=3, save_total_limit=2)
    assert {file.name for file in folder.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-3"}
