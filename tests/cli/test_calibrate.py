"""`hf-ext calibrate`: what is counted of each kind of model, by its pipeline, text by text."""

import json
from typing import Any

import numpy as np
import pytest
from jobs_tiny import JOBS
from transformers import pipeline
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.metrics import LabelledLogits, calibration_report, expected_calibration_error

Counted = list[tuple[float, bool]]


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["calibrate", *map(str, words)])


def classes(folder, rows) -> Counted:
    classify = pipeline("text-classification", model=str(folder), top_k=1)
    found = [(classify([row["text"]])[0][0], row) for row in rows]
    return [(best["score"], best["label"] == row["label"]) for best, row in found]


def many_classes(folder, rows) -> Counted:
    classify = pipeline("text-classification", model=str(folder), top_k=None)
    return [(one["score"], one["label"] in row["labels"]) for row in rows for one in classify([row["text"]])[0]]


def cloze(folder, rows) -> Counted:
    classify = pipeline("cloze", model=str(folder))
    found = [(classify(row["text"])[0], row) for row in rows]
    return [(best["score"], best["label"] == row["label"]) for best, row in found]


def images(folder, rows) -> Counted:
    classify = pipeline("image-classification", model=str(folder))
    found = [(classify(row["image"], top_k=1)[0], row) for row in rows]
    return [(best["score"], best["label"] == row["label"]) for best, row in found]


def choices(folder, rows) -> Counted:
    choose = pipeline("multiple-choice", model=str(folder))
    found = [(choose({name: row[name] for name in ("text", "question", "choices")}), row) for row in rows]
    best = [(one[0] if isinstance(one, list) else one, row) for one, row in found]
    return [(one["score"], one["index"] == row["label"]) for one, row in best]


def spans(folder, rows) -> Counted:
    extract = pipeline("span-extraction", model=str(folder), threshold=0.01)
    counted = []
    for row in rows:
        true = [(one["start"], one["end"], one["label"]) for one in row["entities"]]
        counted += [(one["score"], (one["start"], one["end"], one["label"]) in true) for one in extract(row["text"])]
    return counted


COUNTED = {
    "classes": classes,
    "many classes": many_classes,
    "cloze": cloze,
    "images": images,
    "choices": choices,
    "spans": spans,
}


def trained(name: str, folder: Any, **arguments: Any) -> list[dict[str, Any]]:
    case = JOBS[name]
    case.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        case.make(folder).run(case.arguments(folder / "model", **arguments))
    lines = (folder / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", COUNTED)
def test_calibration_is_that_of_the_pipelines_probabilities(name, tmp_path):
    # A tiny model that is trained longer is sure of nothing else, and none of its scores lies between.
    rows = trained(name, tmp_path / "job", max_steps=12, learning_rate=5e-3)
    file = tmp_path / "job" / "validation.jsonl"
    result = run(tmp_path / "job" / "model", "--file", file, "--use-cpu", "--bins", 4, "--output", tmp_path / "found")
    assert result.exit_code == 0, result.exception
    report = json.loads((tmp_path / "found" / "calibration.json").read_text(encoding="utf-8"))
    counted = COUNTED[name](tmp_path / "job" / "model", rows)
    assert report["rows"] == len(counted) > 3
    wanted = expected_calibration_error(*zip(*counted), bins=4)
    assert report["before"]["ece"] == pytest.approx(wanted, abs=1e-5)
    if name in ("many classes", "spans"):
        chance, so = (np.array(one, dtype=np.float64) for one in zip(*counted))
        alone = calibration_report(LabelledLogits(np.log(chance / (1 - chance)), so.astype(int)))
        assert (report["kind"], report["reason"]) == ("sigmoid", alone["reason"])
        assert report["temperature"] == pytest.approx(alone["temperature"], rel=1e-3)
    else:
        assert report["kind"] == "softmax"
    if name == "spans":
        assert report["missed"] + sum(so for _, so in counted) == sum(len(row["entities"]) for row in rows)
    assert (tmp_path / "found" / "calibration.png").read_bytes()[:4] == b"\x89PNG"
    assert report["about"] in " ".join(result.stdout.split())
    assert "temperature" in result.stdout


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job") / "job"
    trained("crf", folder, max_steps=1)
    return folder


def test_questions_of_a_group_stay_together(tmp_path):
    trained("blanks", tmp_path / "job", max_steps=1)
    file = tmp_path / "job" / "validation.jsonl"
    groups = {json.loads(line)["group"] for line in file.read_text(encoding="utf-8").splitlines()}
    run(tmp_path / "job" / "model", "--file", file, "--use-cpu", "--folds", 99, "--output", tmp_path / "found")
    report = json.loads((tmp_path / "found" / "calibration.json").read_text(encoding="utf-8"))
    assert report["folds"] == len(groups) < report["rows"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MODEL", "--file", "validation.jsonl"], "must give its answers probabilities, got ner"),
        (["MODEL", "--file", "nowhere.jsonl"], "file must be there, got"),
        (["MODEL", "--file", "empty.jsonl"], "empty.jsonl"),
        (["MODEL", "--file", "validation.jsonl", "--output", "train.jsonl"], "output must be a folder"),
        (["nowhere/at/all", "--file", "validation.jsonl"], "model must be there"),
    ],
)
def test_what_cannot_be_judged_is_refused(tags, monkeypatch, words, message):
    monkeypatch.chdir(tags)
    (tags / "empty.jsonl").touch()
    before = sorted(tags.iterdir())
    result = run(*(tags / "model" if word == "MODEL" else word for word in words), "--use-cpu")
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert sorted(tags.iterdir()) == before
