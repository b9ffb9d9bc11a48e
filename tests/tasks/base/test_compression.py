"""``compress_to`` of every job: a trained model becomes one of fewer layers, which is saved and opened as any other."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from jobs_tiny import JOBS
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.classification import ClassificationJob

# Those of a quick run.
FAST = {"classes", "spans"}
CANNOT = {
    "codes": "outputs are others when its layers are run in groups",
    "summaries": "with a decoder|one stack of blocks",
}


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)


def trained(case, folder: Path, dropout=0.0) -> Path:
    """A model of two layers."""
    case.write(folder, dropout)
    file = folder / "config" / "config.json"
    config = json.loads(file.read_text())
    config |= {name: 2 for name in ("num_hidden_layers", "num_layers") if name in config}
    file.write_text(json.dumps(config))
    case.make(folder).run(case.arguments(folder / "trained", max_steps=1))
    return folder / "trained"


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in JOBS]
)
def test_every_task(name, tmp_path):
    case, folder = JOBS[name], tmp_path / "job"
    model = trained(case, folder)
    job = replace(case.make(folder), config=None, model=str(model), compress_to=1)
    arguments = case.arguments(folder / "small", max_steps=3, learning_rate=0.01)
    if name in CANNOT:
        with pytest.raises(ValueError, match=CANNOT[name]):
            job.run(arguments)
        return
    scores = job.run(arguments)
    before, after = (load_file(one / "model.safetensors") for one in (model, folder / "small"))
    assert AutoConfig.from_pretrained(folder / "small").num_hidden_layers == 1
    assert after.keys() < before.keys()
    # Only the layer that is left has changed.
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(".0." in name for name in changed), changed
    again = job_of_model(str(folder / "small"))
    measured = again.evaluate(folder / "validation.jsonl", case.arguments(folder / "measured"))
    assert measured[case.job.metric] == pytest.approx(scores[case.job.metric], rel=1e-4, abs=1e-6)
    said = json.loads((folder / "small" / "job.json").read_text())["options"]
    assert said["compress_to"] == 1
    assert "compress to | 1 |" in (folder / "small" / "README.md").read_text()


def test_a_resumed_run_is_the_run_without_a_break(tmp_path):
    case, folder = JOBS["classes"], tmp_path / "job"
    model = trained(case, folder, dropout=0.2)
    options = {"compress_to": 1, "replacement_rate": 0.3, "replacement_slope": 0.1, "ema_decay": 0.9}
    job = replace(case.make(folder), config=None, model=str(model), layer_decay=0.9, **options)
    settings = {"max_steps": 4, "learning_rate": 0.01, "save_strategy": "steps", "save_steps": 2}
    kept = replace(job, keep_checkpoints=True)
    kept.run(case.arguments(folder / "whole", **settings))
    assert AutoModel.from_pretrained(folder / "whole" / "checkpoint-2").config.num_hidden_layers == 1
    checkpoint = str(folder / "whole" / "checkpoint-2")
    job.run(case.arguments(folder / "again", resume_from_checkpoint=checkpoint, **settings))
    first, second = (load_file(folder / name / "model.safetensors") for name in ("whole", "again"))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert not (folder / "again" / "checkpoint-4").exists()


def test_a_new_head_is_refused(tmp_path):
    """It would stay as it was drawn."""
    case, folder = JOBS["classes"], tmp_path / "job"
    AutoModel.from_pretrained(trained(case, folder)).save_pretrained(folder / "encoder")
    job = replace(case.make(folder), config=None, model=str(folder / "encoder"), compress_to=1)
    job.tokenizer = str(folder / "trained")
    with pytest.raises(ValueError, match=r"model must be trained for the task, .* got BertModel in .*, and a new head"):
        job.run(case.arguments(folder / "small"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"config": "tiny", "compress_to": 2}, "compress_to goes with model, which is trained already, got 2 without"),
        ({"model": "x", "compress_to": 0}, "compress_to must be at least 1, got 0"),
        ({"model": "x", "replacement_rate": 0.5}, "replacement_rate goes with compress_to, got 0.5 without it"),
        ({"model": "x", "replacement_slope": 0.5}, "replacement_slope goes with compress_to, got 0.5 without it"),
        ({"model": "x", "replacement_steps": 5}, "replacement_steps goes with compress_to, got 5 without it"),
        ({"model": "x", "compress_to": 2, "replacement_rate": 0}, "rate must be above 0 and at most 1, got 0"),
        (
            {"model": "x", "compress_to": 2, "replacement_slope": 0.1, "replacement_steps": 5},
            "give either slope or steps, got slope=0.1 and steps=5",
        ),
        ({"model": "x", "layer_decay": 2.0}, "layer_decay must be above 0 and at most 1, got 2.0"),
        ({"model": "x", "learning_rate_multipliers": {"a": -1}}, "must have positive factors, got a=-1"),
        ({"model": "x", "ema_decay": 1.0}, "ema_decay must be above 0 and below 1, got 1.0"),
    ],
)
def test_options_that_are_refused(options, error):
    with pytest.raises(ValueError, match=error):
        ClassificationJob("train", "validation", **options)
