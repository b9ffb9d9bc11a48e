"""Searches: each trial is the run that it would be alone, the best is what is left, and what does not go is refused."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from jobs_tiny import JOBS
from safetensors.torch import load_file
from torch import equal
from transformers.training_args import OptimizerNames

from hf_ext.tasks.base.job_parser import JobParser
from hf_ext.tasks.base.search_space import SearchSpace
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.entities import SpanExtractionJob
from hf_ext.tasks.pretraining import MaskedLanguageModelingJob


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)


def written(name: str, folder: Path) -> Any:
    JOBS[name].write(folder)
    return JOBS[name]


def searching(case: Any, folder: Path, search: Any = None, trials: int = 3, **more: Any) -> Any:
    job = case.make(folder)
    job.search, job.search_trials = search or {}, trials
    for name, value in more.items():
        setattr(job, name, value)
    return job


def arguments(case: Any, folder: Path, **more: Any) -> Any:
    own = case.make(folder.parent).training_arguments(folder)
    metric = {"metric_for_best_model": own.metric_for_best_model, "greater_is_better": own.greater_is_better}
    return case.arguments(folder, **{"max_steps": 2, "learning_rate": 5e-3, **metric, **more})


def trials_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "trials.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", JOBS)
def test_every_job_can_be_searched(name, tmp_path):
    case = written(name, tmp_path / "job")
    folder = tmp_path / "job" / "model"
    job = searching(case, tmp_path / "job", {"learning_rate": "1e-3:1e-2:log"}, trials=2)
    given = arguments(case, folder, max_steps=1, eval_strategy="steps", eval_steps=1)
    scores = job.run(given)
    found = trials_of(folder)
    assert [row["trial"] for row in found["trials"]] == [1, 2]
    values = [row["score"] for row in found["trials"]]
    best = (max if given.greater_is_better else min)(values)
    assert found["trials"][found["best"] - 1]["score"] == best
    if found["metric"] in scores:
        assert scores[found["metric"]] == best
    assert json.loads((folder / "scores.json").read_text(encoding="utf-8")).keys() == scores.keys()
    assert not (folder / "trials").exists()
    assert (folder / "model.safetensors").is_file()
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


def test_pre_training_can_be_searched(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.training.stream_trainer.matmul_peak", lambda *_: 1e12)
    (tmp_path / "texts.txt").write_text("".join(f"今天去{'很' * n}远的公园\n" for n in range(1, 30)), encoding="utf-8")
    space = {"search": {"mlm_probability": "0.1:0.3"}, "search_trials": 2}
    job = MaskedLanguageModelingJob(tmp_path / "texts.txt", config="tiny", held_out=4, max_length=16, **space)
    quiet = {"report_to": "none", "disable_tqdm": True, "use_cpu": True}
    scores = job.run(job.training_arguments(tmp_path / "model", max_steps=2, per_device_train_batch_size=4, **quiet))
    found = trials_of(tmp_path / "model")
    assert found["greater_is_better"] is False
    assert scores["held_out_loss"] == min(row["score"] for row in found["trials"])


@pytest.mark.parametrize(
    ("name", "options", "search"),
    [
        ("spans", {"ema_decay": 0.5, "patience": 3}, {"learning_rate": [0.0, 5e-3], "span_head_size": [8, 4]}),
        ("classes", {"r_drop": 1.0, "adversarial": "fgm"}, {"learning-rate": "1e-4:1e-2:log", "r_drop": "0.5,4"}),
        ("choices", {}, {"weight_decay": "0:0.5", "warmup_steps": "0:2:1"}),
    ],
)
def test_a_trial_is_the_run_that_it_would_be_alone(name, options, search, tmp_path):
    """However many came before it: nothing of a model, a head, a method or a callback is left of those."""
    case = written(name, tmp_path / "job")
    best = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True, "max_steps": 4}
    job = searching(case, tmp_path / "job", search, **options)
    scores = job.run(arguments(case, tmp_path / "job" / "model", **best))
    found = trials_of(tmp_path / "job" / "model")
    assert len(found["trials"]) == 3
    for row in found["trials"]:
        alone = case.make(tmp_path / "job")
        values = dict(row["values"])
        for option, value in options.items():
            setattr(alone, option, values.pop(option, value))
        if "span_head_size" in values:
            alone.span_head_size = values.pop("span_head_size")
        folder = tmp_path / f"alone{row['trial']}"
        own = arguments(case, tmp_path / "job" / "other", **{**best, **values})
        own.output_dir = str(folder)
        wanted = alone.run(own)
        assert row["score"] == wanted[found["metric"]]
        if row["trial"] == found["best"]:
            assert scores == wanted
            one, other = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "job" / "model"))
            assert one.keys() == other.keys()
            assert all(equal(one[key], other[key]) for key in one)


def test_the_seed_fixes_what_is_drawn(tmp_path):
    case = written("classes", tmp_path / "job")
    drawn = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / "job" / f"model{number}"
        job = searching(case, tmp_path / "job", {"learning_rate": "1e-4:1e-2:log"}, trials=2)
        job.run(arguments(case, folder, seed=seed, max_steps=1))
        drawn.append([row["values"] for row in trials_of(folder)["trials"]])
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(1e-4 <= row["learning_rate"] <= 1e-2 for row in drawn[0])


def test_what_was_tried_is_not_run_again(tmp_path, monkeypatch):
    case = written("classes", tmp_path / "job")
    runs = []
    own = ClassificationJob.run
    monkeypatch.setattr(ClassificationJob, "run", lambda job, given: runs.append(job.is_trial) or own(job, given))
    folder = tmp_path / "job" / "model"
    searching(case, tmp_path / "job", {"weight_decay": "0.0,0.1"}, trials=5).run(arguments(case, folder))
    rows = trials_of(folder)["trials"]
    assert len(rows) == 5
    assert runs == [False, *[True] * len({row["values"]["weight_decay"] for row in rows})]


def test_without_a_space_rate_and_decay_are_searched(tmp_path, capfd):
    case = written("classes", tmp_path / "job")
    folder = tmp_path / "job" / "model"
    searching(case, tmp_path / "job", trials=2).run(arguments(case, folder, disable_tqdm=False))
    for row in trials_of(folder)["trials"]:
        assert 1e-3 <= row["values"]["learning_rate"] <= 25e-3
        assert row["values"]["weight_decay"] in (0.0, 0.01, 0.1)
    shown = capfd.readouterr().err
    assert "trial 2 of 2: learning_rate=" in shown
    assert "; best " in shown
    # Optuna's own lines.
    assert "A new study" not in shown


def test_card_and_job_file_tell_of_the_search(tmp_path):
    case = written("spans", tmp_path / "job")
    folder = tmp_path / "job" / "model"
    folder.mkdir()
    (folder / "README.md").write_text("Mine.\n", encoding="utf-8")
    job = searching(case, tmp_path / "job", {"span_head_size": "4,8"}, trials=2, overwrite=True)
    job.run(arguments(case, folder))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "# model" in card
    assert "search trials" in card
    assert "span_head_size=4,8" in card
    options = json.loads((folder / "job.json").read_text(encoding="utf-8"))["options"]
    best = trials_of(folder)
    assert options["search_trials"] == 2
    assert options["span_head_size"] == best["trials"][best["best"] - 1]["values"]["span_head_size"]
    # What is there now is of no search.
    again = case.make(tmp_path / "job")
    again.overwrite = True
    assert "trials.json" in again.saved(folder)
    again.run(arguments(case, folder))
    assert not (folder / "trials.json").exists()
    assert "trials.json" not in again.saved(folder)


def test_what_was_found_is_kept_when_a_search_is_broken_off(tmp_path, monkeypatch):
    case = written("classes", tmp_path / "job")
    folder = tmp_path / "job" / "model"
    own = ClassificationJob.run

    def breaks(job: Any, given: Any) -> Any:
        if job.is_trial and given.output_dir.endswith("3"):
            raise KeyboardInterrupt
        return own(job, given)

    job = searching(case, tmp_path / "job", {"learning_rate": "1e-4:1e-2"})
    with monkeypatch.context() as patch:
        patch.setattr(ClassificationJob, "run", breaks)
        with pytest.raises(KeyboardInterrupt):
            job.run(arguments(case, folder))
    found = trials_of(folder)
    assert len(found["trials"]) == 2
    kept = folder / "trials" / str(found["best"])
    assert (kept / "model.safetensors").is_file()
    with pytest.raises(ValueError, match=r"must not hold a search that was broken off, .* its best run is in it"):
        job.run(arguments(case, folder))
    assert (kept / "model.safetensors").is_file()
    job.overwrite = True
    job.run(arguments(case, folder))
    assert not (folder / "trials").exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_what_no_search_made_is_not_removed(kind, overwrite, tmp_path):
    case = written("classes", tmp_path / "job")
    trials = tmp_path / "job" / "model" / "trials"
    trials.parent.mkdir()
    if kind == "file":
        trials.write_text("mine", encoding="utf-8")
    else:
        trials.symlink_to(tmp_path if kind == "link" else tmp_path / "absent", target_is_directory=True)
    job = searching(case, tmp_path / "job", {"learning_rate": "1e-4:1e-2"}, overwrite=overwrite)
    with pytest.raises(ValueError, match=r"trials in output_dir must be a folder or not there, got .*trials, which no"):
        job.run(arguments(case, trials.parent))
    assert trials.is_symlink() if "link" in kind else trials.read_text(encoding="utf-8") == "mine"


def test_scores_that_are_no_numbers_are_passed_over(tmp_path, monkeypatch):
    case = written("classes", tmp_path / "job")
    scores = iter([float("nan"), 0.25, 0.5])
    own = ClassificationJob.score
    monkeypatch.setattr(ClassificationJob, "score", lambda *given: {**own(*given), "f1": next(scores)})
    folder = tmp_path / "job" / "model"
    job = searching(case, tmp_path / "job", {"learning_rate": "1e-4:1e-2"})
    assert job.run(arguments(case, folder))["f1"] == 0.5
    assert [row["score"] for row in trials_of(folder)["trials"]] == [None, 0.25, 0.5]


def test_a_search_without_any_score_says_so(tmp_path, monkeypatch):
    case = written("classes", tmp_path / "job")
    own = ClassificationJob.score
    monkeypatch.setattr(ClassificationJob, "score", lambda *given: {**own(*given), "f1": float("nan")})
    folder = tmp_path / "job" / "model"
    job = searching(case, tmp_path / "job", {"learning_rate": "1e-4:1e-2"}, trials=2)
    # Another search may follow in the same folder.
    for _ in range(2):
        with pytest.raises(ValueError, match="a trial must have f1 among its scores, got none of 2"):
            job.run(arguments(case, folder))
        assert [file.name for file in folder.iterdir()] == ["trials.json"]


def test_what_follows_from_an_argument_follows_from_what_is_tried(tmp_path, monkeypatch):
    case = written("classes", tmp_path / "job")
    seen = set()
    own = ClassificationJob.run

    def noting(job: Any, given: Any) -> Any:
        if job.is_trial:
            seen.add((given.mixed_precision, given.optim))
        return own(job, given)

    monkeypatch.setattr(ClassificationJob, "run", noting)
    job = searching(case, tmp_path / "job", {"bf16": "true,false", "optim": "adamw_torch,sgd"}, trials=8)
    job.run(arguments(case, tmp_path / "job" / "model", max_steps=1))
    assert {precision for precision, _ in seen} == {"bf16", "no"}
    assert {repr(optimizer) for _, optimizer in seen} == {repr(OptimizerNames.ADAMW_TORCH), repr(OptimizerNames.SGD)}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"learning_rat": "1:2"},
            "search must be over options of train ner, got learning_rat; did you mean learning_rate",
        ),
        ({"output_dir": "a,b"}, "search must be over what a model is trained by, got output_dir"),
        ({"train_file": "a,b"}, "search must be over what a model is trained by, got train_file"),
        ({"seed": "1:3"}, "search must be over what a model is trained by, got seed"),
        ({"search_trials": "1:3"}, "search must be over what a model is trained by, got search_trials"),
        ({"penalty_options": "a,b"}, "search must be over options with one value, got penalty_options"),
        ({"learning_rate": 3}, "learning_rate must be LOW:HIGH, .* got 3"),
        ({"learning_rate": "a:b"}, "learning_rate must be between numbers, got a:b"),
        ({"learning_rate": "2:1"}, "learning_rate must have LOW below HIGH, .* got 2:1"),
        ({"learning_rate": "0:1:log"}, "both above 0 by the logarithm, .* got 0:1:log"),
        ({"learning_rate": "0:1:-1"}, "STEP above 0, got 0:1:-1"),
        ({"learning_rate": "0:inf"}, "learning_rate must have LOW below HIGH, .* got 0:inf"),
        ({"learning_rate": "0:1:2:3"}, "learning_rate must be LOW:HIGH"),
        ({"learning_rate": "1e-3,x"}, "learning_rate must be over values that it takes: .*'x'"),
        ({"learning_rate": "1e-3,1e-3"}, "must have two values or more that differ, got 1e-3,1e-3"),
        ({"learning_rate": ["1e-3"]}, "must have two values or more that differ"),
        ({"span_head_size": "1.5:3"}, "span_head_size must be between integers, got 1.5:3"),
        ({"lr_scheduler_type": "linear:cosine"}, "lr_scheduler_type must be over values with commas"),
        ({"lr_scheduler_type": "linear,round"}, "lr_scheduler_type must be over values that it takes"),
    ],
)
def test_spaces_that_are_none_are_refused(search, message, tmp_path):
    job = SpanExtractionJob("a", "b", config="tiny", search=search, search_trials=2)
    with pytest.raises(ValueError, match=message):
        job.run(job.training_arguments(tmp_path / "model", use_cpu=True))
    assert not (tmp_path / "model").exists()


def test_values_have_the_types_of_their_options():
    search = {
        "learning_rate": "1e-5:1e-3:log",
        "num-train-epochs": "3:10:1",
        "span_head_size": "8:64:8",
        "per_device_train_batch_size": [8, 16],
        "lr_scheduler_type": "linear,cosine",
        "group_by_length": "true,false",
        "head": "global_pointer,efficient_global_pointer",
    }
    search.pop("group_by_length")
    space = SearchSpace(SpanExtractionJob("a", "b", config="tiny"), search)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        values = space.values(study.ask())
        assert 1e-5 <= values["learning_rate"] <= 1e-3
        assert values["num_train_epochs"] in range(3, 11)
        assert values["span_head_size"] in range(8, 65, 8)
        assert type(values["span_head_size"]) is int
        assert values["per_device_train_batch_size"] in (8, 16)
        assert values["lr_scheduler_type"] in ("linear", "cosine")
        assert values["head"] in ("global_pointer", "efficient_global_pointer")
    assert space.is_of_job("span_head_size")
    assert not space.is_of_job("learning_rate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume_from_checkpoint": "true"}, "resume_from_checkpoint must be left out with search_trials, got true"),
        ({"push_to_hub": True}, "push_to_hub must be left out with search_trials, got True"),
        ({"metric_for_best_model": None, "load_best_model_at_end": False}, "metric_for_best_model must be given"),
    ],
)
def test_what_does_not_go_with_a_search_is_refused(options, message, tmp_path):
    job = SpanExtractionJob("a", "b", config="tiny", search_trials=2)
    with pytest.raises(ValueError, match=message):
        job.run(job.training_arguments(tmp_path / "model", use_cpu=True, **options))


def test_options_are_checked():
    with pytest.raises(ValueError, match=r"search goes with search_trials, got .* without it"):
        SpanExtractionJob("a", "b", config="tiny", search={"learning_rate": "1:2"})
    with pytest.raises(ValueError, match="search_trials must be at least 1, got 0"):
        SpanExtractionJob("a", "b", config="tiny", search_trials=0)


def test_words_and_files_of_options_say_what_is_searched(tmp_path):
    start = ["--train-file=a", "--validation-file=b", "--output-dir=c", "--config=tiny", "--use-cpu=true"]
    words = ["--search-trials=4", "--search", "learning_rate=1e-5:1e-3:log", "--search", "num_train_epochs=3,5"]
    job, _ = JobParser([SpanExtractionJob]).job_and_arguments([*start, *words])
    wanted = {"learning_rate": "1e-5:1e-3:log", "num_train_epochs": "3,5"}
    assert (job.search, job.search_trials) == (wanted, 4)
    file = tmp_path / "space.yaml"
    text = "search-trials: 4\nsearch:\n  learning_rate: 1e-5:1e-3:log\n  num_train_epochs: [3, 5]\n"
    file.write_text(text, encoding="utf-8")
    job, _ = JobParser([SpanExtractionJob]).job_and_arguments([*start, str(file)])
    assert job.search_trials == 4
    assert SearchSpace(job, job.search).dimensions == SearchSpace(job, wanted).dimensions
