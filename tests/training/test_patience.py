"""A training that no longer gets better is stopped, after a break as without one."""

import json

import pytest
from jobs_tiny import JOBS
from transformers import TrainingArguments

from hf_ext.training.patience import early_stopping

EVALUATED = {"save_strategy": "steps", "eval_strategy": "steps", "save_steps": 1, "eval_steps": 1}
BEST = {**EVALUATED, "load_best_model_at_end": True, "metric_for_best_model": "f1"}


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    JOBS["classes"].write(tmp_path / "job")
    return JOBS["classes"]


@pytest.mark.parametrize("patience", [1, 3])
def test_it_stops_and_a_resumed_run_counts_on(patience, case, tmp_path):
    def steps(output, **more):
        job = case.make(tmp_path / "job")
        job.patience = patience
        job.keep_checkpoints = True
        # What learns nothing gets no better: the first evaluation stays the best.
        arguments = case.arguments(
            tmp_path / output, learning_rate=0.0, max_steps=20, per_device_train_batch_size=2, **{**BEST, **more}
        )
        job.run(arguments)
        return json.loads((tmp_path / output / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]

    assert steps("whole") == 1 + patience
    resumed = tmp_path / "whole" / f"checkpoint-{patience}"
    assert steps("resumed", resume_from_checkpoint=str(resumed)) == 1 + patience


@pytest.mark.parametrize(
    ("patience", "more", "message"),
    [
        (0, BEST, "patience must be at least 1, got 0"),
        (1, {"eval_strategy": "no"}, "eval_strategy must be epoch or steps, got no"),
        (1, EVALUATED, "load_best_model_at_end must be True, got False"),
    ],
)
def test_where_nothing_is_counted_it_is_refused(patience, more, message, tmp_path):
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **more)
    with pytest.raises(ValueError, match=message):
        early_stopping(arguments, patience)
