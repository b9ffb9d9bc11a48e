"""A threshold that is given or chosen: against trying each on the saved model, and in the pipeline."""

import json
import re

import pytest
from jobs_tiny import JOBS
from transformers import AutoConfig, pipeline

from hf_ext.tasks.base import score_threshold
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.base.score_threshold import best_threshold, given_threshold

PIPELINES = {
    "spans": "span-extraction",
    "relations": "relation-extraction",
    "events": "event-extraction",
    "many classes": "classification",
}
TRIED = (0.02, 0.3, 0.5, 0.9)


@pytest.fixture(scope="module", params=PIPELINES)
def trained(request, tmp_path_factory):
    """The name of a job, its folder with a model whose threshold was chosen, and its scores."""
    folder = tmp_path_factory.mktemp("job") / "job"
    case = JOBS[request.param]
    case.write(folder)
    job = case.make(folder)
    job.threshold = "best"
    arguments = case.arguments(folder / "model", max_steps=case.steps // 2, learning_rate=5e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        patch.setattr(score_threshold, "CANDIDATES", TRIED)
        scores = job.run(arguments)
    return request.param, folder, scores


def set_threshold(folder, threshold):
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**config, "score_threshold": threshold}), encoding="utf-8")


def test_the_card_says_which(trained):
    _, folder, scores = trained
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"above (0\.\d+)", card)) == {f"{scores['threshold']:.4g}"}
    assert "type: threshold" not in card


def test_the_best_is_chosen_and_saved(trained):
    name, folder, scores = trained
    chosen = AutoConfig.from_pretrained(folder / "model").score_threshold
    assert scores["threshold"] == chosen
    assert name == "many classes" or chosen in TRIED
    f1 = {}
    for threshold in (*TRIED, chosen):
        set_threshold(folder / "model", threshold)
        arguments = JOBS[name].arguments(folder / "measured")
        f1[threshold] = job_of_model(str(folder / "model")).evaluate(folder / "validation.jsonl", arguments)["f1"]
    assert f1[chosen] == pytest.approx(scores["f1"])
    assert f1[chosen] == max(f1.values()) > min(f1.values())


def test_the_pipeline_goes_by_it(trained):
    name, folder, _ = trained
    texts = [json.loads(line)["text"] for line in (folder / "validation.jsonl").read_text("utf-8").splitlines()]
    for threshold in (0.02, 0.6):
        set_threshold(folder / "model", threshold)
        find = pipeline(PIPELINES[name], model=str(folder / "model"), device="cpu")
        assert find(texts) == find(texts, threshold=threshold)
        assert threshold > 0.5 or find(texts) != find(texts, threshold=0.999)


def test_a_number_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    case = JOBS["many classes"]
    case.write(tmp_path / "job")
    job = case.make(tmp_path / "job")
    job.threshold = "0.25"
    assert job.run(case.arguments(tmp_path / "model", max_steps=1))["threshold"] == 0.25
    assert AutoConfig.from_pretrained(tmp_path / "model").score_threshold == 0.25


def test_one_class_each_has_no_threshold(tmp_path):
    case = JOBS["classes"]
    case.write(tmp_path / "job")
    job = case.make(tmp_path / "job")
    job.threshold = "best"
    with pytest.raises(ValueError, match="threshold goes with texts with any number of classes, got best with one"):
        job.run(case.arguments(tmp_path / "model"))


@pytest.mark.parametrize(("value", "number"), [(None, None), ("best", None), ("0.5", 0.5), (0, 0.0), ("1e-3", 0.001)])
def test_what_is_given(value, number):
    assert given_threshold(value) == number


@pytest.mark.parametrize("value", ["worst", "1", "-0.1", "nan", ""])
def test_what_is_no_threshold_is_refused(value):
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\) or best, got"):
        given_threshold(value)


def test_of_equal_ones_the_nearest_to_a_half():
    assert best_threshold(lambda _: 0.0) == 0.5
    assert best_threshold(lambda threshold: float(threshold > 0.6)) == 0.7
    assert best_threshold(lambda threshold: -abs(threshold - 0.2)) == 0.2
