"""Two processes train the tasks of a suite, past one that fails, and predict each row once, in order."""

import shutil
from pathlib import Path

import pytest
import suite_in_two_processes
from clue_sample import write_clue
from launch import run_two_processes

from hf_ext.suites import find_runs, predict_suite, shipped_suites
from hf_ext.suites.prediction import read_predictions

CLUE = shipped_suites()["clue"]


@pytest.mark.slow
def test_two_processes_train_and_predict_as_one(tmp_path):
    write_clue(tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "csl")
    run_two_processes(Path(suite_in_two_processes.__file__), tmp_path)
    runs = {run.task: run for run, _ in find_runs(tmp_path / "runs", CLUE)}
    states = {task: run.state for task, run in runs.items()}
    assert states == {"wsc": "finished", "csl": "failed", "chid": "finished", "cluener": "finished"}
    assert "csl must have train.json for its part train" in (runs["csl"].error or "")
    assert runs["chid"].hyperparameters["world_size"] == 2
    assert runs["cluener"].official.keys() == {"macro F1 of strings"}
    made = sorted((tmp_path / "runs" / "predictions").rglob("*.jsonl"))
    of_two = {path: read_predictions(path) for path in made}
    # Each of two test versions of two tasks, and one of the third, by its run and as the best.
    assert len(of_two) == 10
    assert len(list(predict_suite(CLUE, tmp_path / "data", tmp_path / "runs", use_cpu=True))) == 3
    for path, found in of_two.items():
        again = read_predictions(path)
        assert [one["id"] for one in found] == [one["id"] for one in again]
        for one, other in zip(found, again):
            assert one.get("label") == other.get("label")
            if "logits" in one:
                assert one["logits"] == pytest.approx(other["logits"], abs=1e-5)
