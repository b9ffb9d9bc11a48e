"""Runs of a suite: a failure stops no other, what has ended is left alone, and what has not goes on."""

import dataclasses
import json
import re
import shutil
from hashlib import sha256

import pytest
import torch
from safetensors.torch import load_file

from hf_ext.suites import (
    Measure,
    Published,
    Row,
    Suite,
    SuiteTask,
    Training,
    find_runs,
    json_rows,
    predict_suite,
    prediction_line,
    suite_report,
    text_field,
    training as module,
    with_label,
    write_suite_report,
)
from hf_ext.suites.options import training_parser
from hf_ext.suites.report import report_tables
from hf_ext.suites.runs import Run, best_run, configuration_of, read_run, run_folder, write_run
from hf_ext.tasks.base.option import option
from hf_ext.training.job_trainer import JobTrainer

TEXTS = ("好天气", "坏天气", "好人", "坏人")
OPTIONS = {"config": "tiny", "max_length": 8, "max_steps": 2, "use_cpu": True, "disable_tqdm": True}


def example(record, where):
    return with_label({"text": record["text"]}, record)


def task(name, **more):
    files = {"train": "train.json", "validation": "dev.json", "test": "test.json"}
    return SuiteTask(
        name=name,
        job="classification",
        files=files,
        read=json_rows(example),
        labels=("good", "bad"),
        options={"metric_for_best_model": "accuracy"},
        presets={"article": {"learning_rate": 1e-3}},
        **more,
    )


def right(predictions, examples):
    hits = [one["label"] == other["label"] for one, other in zip(predictions, examples, strict=True)]
    return {"share of the official scorer": sum(hits) / len(hits)}


SUITE = Suite("toy", tasks=[task("absent"), task("there", scorer=right)], averages={"both": ["absent", "there"]})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "there").mkdir()
    rows = [{"text": text, "label": "good" if text[0] == "好" else "bad"} for text in TEXTS]
    for name in ("train", "dev"):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "there" / f"{name}.json").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)


@pytest.mark.slow
def test_a_failure_stops_no_other_task_and_a_break_is_taken_up(data, tmp_path, monkeypatch):
    resumed = []
    inner = module._resume_or_replace

    def spy(job, arguments, *rest):
        inner(job, arguments, *rest)
        resumed.append(arguments.resume_from_checkpoint)

    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(module, "_resume_or_replace", spy)
    training = Training(SUITE, data, tmp_path, seeds=[1], options=OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr("hf_ext.tasks.base.job.end_run", broken)
        absent, there = training.run()
    assert (absent.state, there.state) == ("failed", "failed")
    assert "absent must have train.json for its part train" in absent.error
    assert there.error == "OSError: no space left"
    assert "end_run" in (tmp_path / "there" / "seed-1" / "error.txt").read_text(encoding="utf-8")
    assert read_run(tmp_path / "there" / "seed-1").state == "failed"
    # Its checkpoint is of these settings.
    (_, other) = Training(SUITE, data, tmp_path, seeds=[1], options={**OPTIONS, "max_steps": 3}).run()
    assert "settings must be those of the run that is there" in other.error
    assert "max_steps 3 for 2" in other.error

    absent, there = training.run()
    assert (absent.state, there.state, resumed) == ("failed", "finished", [None, "True"])
    folder = tmp_path / "there" / "seed-1"
    assert not (folder / "error.txt").exists()
    assert there.official["share of the official scorer"] == there.scores["accuracy"]
    assert there.hyperparameters["max_steps"] == 2
    assert there == read_run(folder)
    # Once more: it is left alone, but not with other settings.
    kept = (folder / "model.safetensors").stat().st_mtime_ns
    assert training.run()[1] == there
    (_, other) = Training(SUITE, data, tmp_path, seeds=[1], options={**OPTIONS, "learning_rate": 1e-3}).run()
    assert "learning_rate 0.001 for None" in other.error
    assert (read_run(folder).state, len(resumed)) == ("finished", 2)
    assert (folder / "model.safetensors").stat().st_mtime_ns == kept
    # Nor with other files, though with none.
    other_data = tmp_path / "other data"
    shutil.copytree(data, other_data)
    other_file = other_data / "there" / "dev.json"
    other_file.write_text(other_file.read_text(encoding="utf-8").replace("bad", "good", 1), encoding="utf-8")
    (_, other) = Training(SUITE, other_data, tmp_path, seeds=[1], options=OPTIONS).run()
    assert "data must have the files of the run that is there" in other.error
    assert "other ones under dev.json than in" in other.error
    shutil.rmtree(other_data / "there")
    assert Training(SUITE, other_data, tmp_path, seeds=[1], options=OPTIONS).run()[1] == there

    report = suite_report(SUITE, tmp_path)
    assert report["tasks"]["there"]["mean"] == 100 * there.scores["accuracy"]
    assert report["tasks"]["there"]["also"] == {
        "share of the official scorer": (100 * there.scores["accuracy"], None),
    }
    assert [one["state"] for one in report["tasks"]["absent"]["without_score"]] == ["failed"]
    assert report["averages"] == {"both": None}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(data, tmp_path, monkeypatch):
    settings = {**OPTIONS, "max_steps": 4, "per_device_train_batch_size": 2}
    runs = {name: Training(SUITE, data, tmp_path / name, tasks=["there"], options=settings) for name in "ab"}
    steps = []
    inner = JobTrainer.training_step

    def step(trainer, *args, **kwargs):
        steps.append(trainer.state.global_step)
        # After the first epoch, of two steps.
        if len(steps) == 4:
            raise KeyboardInterrupt
        return inner(trainer, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(JobTrainer, "training_step", step)
        with pytest.raises(KeyboardInterrupt):
            runs["a"].run()
    folder = tmp_path / "a" / "there" / "seed-42"
    assert read_run(folder).state == "unfinished"
    monkeypatch.setattr(JobTrainer, "training_step", step)
    (resumed,) = runs["a"].run()
    (whole,) = runs["b"].run()
    assert steps == [0, 1, 2, 3, 2, 3, 0, 1, 2, 3]
    assert (resumed.state, resumed.scores) == ("finished", whole.scores)
    first, second = (load_file(tmp_path / name / "there" / "seed-42" / "model.safetensors") for name in "ab")
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_model_has_the_classes_of_the_suite_in_its_order(data, tmp_path):
    """Though the training file lacks one, which the validation file has, and the alphabet has another order."""
    own = tmp_path / "data" / "there"
    shutil.copytree(data / "there", own)
    with (own / "dev.json").open("a", encoding="utf-8") as file:
        file.write('{"text": "天人", "label": "fair"}\n')
    (own / "test.json").write_text('{"text": "天人"}\n', encoding="utf-8")
    suite = Suite("toy", tasks=[dataclasses.replace(task("there"), labels=("good", "fair", "bad"))])
    training = Training(suite, own.parent, tmp_path / "runs", seeds=[1], options=OPTIONS)
    (run,) = training.run()
    assert run.error is None
    folder = tmp_path / "runs" / "there" / run.name
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "good", "1": "fair", "2": "bad"}
    assert run.scores["per_type"]["fair"]["support"] == 1
    # The suite knows them, so they are no setting of the run, and it is known again.
    assert "labels" not in run.settings
    assert "labels" not in json.loads((folder / "job.json").read_text(encoding="utf-8"))["options"]
    assert training.run() == [run]
    assert "labels" not in training_parser(suite, {}).options
    list(predict_suite(suite, own.parent, tmp_path / "runs"))
    line = (tmp_path / "runs" / "predictions" / "best" / "there" / "test.jsonl").read_text(encoding="utf-8")
    assert [*json.loads(line)["logits"]] == ["good", "fair", "bad"]


def test_what_a_job_refuses_is_named_by_its_official_line(data, tmp_path):
    shutil.copytree(data / "there", tmp_path / "data" / "there")
    with (tmp_path / "data" / "there" / "dev.json").open("a", encoding="utf-8") as file:
        file.write('\n{"text": " ", "label": "good"}\n')
    (run,) = Training(SUITE, tmp_path / "data", tmp_path / "runs", tasks=["there"], options=OPTIONS).run()
    place = tmp_path / "data" / "there" / "dev.json"
    assert run.error == f"TextFileError: {place}:6: text must be a string that is not blank, got ' '"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["other"]}, "tasks must be of absent, there, got 'other'"),
        ({"seeds": [1, 1]}, "seeds must be one or several that differ, got [1, 1]"),
        ({"preset": "official"}, "preset must be one of the suite toy, article, got 'official'"),
        ({"splits": ["0"]}, "splits must be of a suite that has some, got '0'"),
        ({"variants": {"there": "short"}}, "variant of there must be one of its own, none, got 'short'"),
        ({"variants": {"other": "short"}}, "variant must be of one of the tasks absent, there, got 'other'"),
        ({"options": {"stride": 3}}, "stride has no effect on the tasks that are trained (classification)"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(data, tmp_path, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Training(SUITE, data, tmp_path, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": {"train": "a"}}, "files of the task toy must have the part validation, got train"),
        ({"submissions": {"test2": "a"}}, "submissions of the task toy must be of its files, got test2"),
        ({"scored": "public"}, "files of the task toy must have the part public"),
        (
            {"presets": {"own": {}}, "otherwise": {"own": task("toy")}},
            "presets of the task toy must have names of their own, got own twice",
        ),
        (
            {"otherwise": {"own": task("a")}},
            "name of the task toy must be the same with the preset own, 'toy', got 'a'",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused(change, message):
    said = {"name": "toy", "job": "ner", "files": {"train": "a", "validation": "b"}, "read": lambda paths: []}
    with pytest.raises(ValueError, match=re.escape(message)):
        SuiteTask(**{**said, **change})


def test_a_run_is_bound_to_the_file_of_its_labels(tmp_path):
    one = task("one", schema=("labels.json",))
    for name in ("train.json", "dev.json", "labels.json"):
        (tmp_path / "one").mkdir(exist_ok=True)
        (tmp_path / "one" / name).write_text(name, encoding="utf-8")
    digests = Training(Suite("own", [one]), tmp_path, tmp_path / "runs")._digests(one, None)
    assert digests == {name: sha256(name.encode()).hexdigest() for name in ("train.json", "dev.json", "labels.json")}


def test_a_suite_has_tasks_with_names_of_their_own():
    for tasks in ([], [task("a"), task("a")]):
        with pytest.raises(ValueError, match="tasks of the suite toy must have names of their own"):
            Suite("toy", tasks=tasks)
    with pytest.raises(ValueError, match="averages of the suite toy must be of its tasks"):
        Suite("toy", tasks=[task("a")], averages={"all": ["b"]})


def test_mean_of_splits_is_that_of_their_means(tmp_path):
    """By hand: split 0 has 0.2 and 0.4, split 1 has 0.6; the whole data are no part of it."""
    suite = Suite("toy", tasks=[task("a")], splits=("0", "1"), more_splits=("all",))
    for seed, split, score in ((1, "0", 0.2), (2, "0", 0.4), (1, "1", 0.6), (1, "all", 0.9)):
        run = Run(
            "toy", "a", seed, split, {"max_steps": seed}, state="finished", scores={"accuracy": score}, seconds=60
        )
        write_run(run, tmp_path / "a" / run.name)
    own = suite_report(suite, tmp_path)["tasks"]["a"]
    assert own["mean"] == pytest.approx(45)
    assert own["deviation"] == pytest.approx((2 * 15**2) ** 0.5)
    assert [round(own["splits"][split][0]) for split in ("0", "1", "all")] == [30, 60, 90]
    assert own["minutes"] == 1
    assert own["differing"] == {"max_steps": [1, 2, 1, 1]}
    assert [run.split for run, _ in find_runs(tmp_path, suite)] == ["0", "0", "1", "all"]


def test_published_numbers_stand_beside_with_their_metric(tmp_path):
    published = (
        Published("A", "validation", {"a": 70.0, "b": 1.0}, "a paper"),
        Published("B", "test", {"a": 60.0}, "a page", {"a": "F1"}),
    )
    suite = Suite("toy", tasks=[task("a"), task("b")], published=published)
    run = Run("toy", "a", 1, None, {"variant": "b"}, "with b", state="finished", scores={"accuracy": 0.5}, seconds=1)
    write_run(run, tmp_path / "a" / run.name)
    report = suite_report(suite, tmp_path)
    tables = {heading: (columns, rows, below) for heading, columns, rows, below in report_tables(report)}
    assert tables["Scores"][1][0][:4] == ["a, with b", "accuracy", "validation", "50.00"]
    assert tables["Published, on validation"] == (
        ["model", "a"],
        [["these runs, with b", "50.00"], ["A", "70.00"]],
        "Published by a paper.",
    )
    assert tables["Published, on test"] == (
        ["model", "a"],
        [["B", "60.00"]],
        "Published by a page. Other metrics than here: a: F1, here accuracy.",
    )
    write_suite_report(tmp_path / "report", report, "a | b")
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8")) == report
    assert "| B | 60.00 |" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "<h1>a | b</h1>" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_published_scores_stand_beside_those_of_their_own_metric(tmp_path):
    """By hand; where some are of one metric and some of another, a task's own is shown, and that is said."""
    published = (
        Published("A", "validation", {"a": 70.0, "b": 1.0}, "a paper", {"a": "F1", "b": "F1"}),
        Published("B", "validation", {"a": 60.0, "b": 2.0}, "a paper", {"a": "F1"}),
        Published("C", "test", {"a": 50.0}, "a paper", {"a": "F1"}),
    )
    tasks = [task(name, also={"F1": "f1", "recall": "recall"}) for name in "ab"]
    suite = Suite("toy", tasks=tasks, published=published)
    for name, seed, accuracy, f1 in (("a", 1, 0.2, 0.5), ("a", 2, 0.4, 0.7), ("b", 1, 0.3, 0.1)):
        scores = {"accuracy": accuracy, "f1": f1, "recall": 0.0}
        run = Run("toy", name, seed, None, {}, state="finished", scores=scores, seconds=1)
        write_run(run, tmp_path / name / run.name)
    tables = {heading: rest for heading, *rest in report_tables(suite_report(suite, tmp_path))}
    assert tables["Published, on validation"] == [
        ["model", "a (F1)", "b"],
        [["these runs", "60.00 ± 14.14", "30.00"], ["A", "70.00", "1.00"], ["B", "60.00", "2.00"]],
        "Published by a paper. Other metrics than here: b: F1, here accuracy.",
    ]
    assert tables["Published, on test"] == [["model", "a (F1)"], [["C", "50.00"]], "Published by a paper."]


@pytest.mark.parametrize(
    ("settings", "configuration", "name"),
    [
        ({}, "", "seed-1"),
        ({"preset": "article"}, "article", "article-seed-1"),
        ({"variant": "keywords"}, "with keywords", "with-keywords-seed-1"),
        (
            {"preset": "article", "variant": "keywords", "pattern": "a/b c", "max_steps": 3},
            "article, with keywords, pattern a/b c",
            "article-with-keywords-pattern-a-b-c-seed-1",
        ),
        ({"preset": "short", "pattern": "x"}, "short", "short-seed-1"),
        ({"preset": "short", "pattern": "y", "bare": True}, "short, pattern y, bare", "short-pattern-y-bare-seed-1"),
    ],
)
def test_a_run_is_named_by_what_tells_it_apart(settings, configuration, name):
    one = task("a", apart=("pattern", "bare"))
    one = dataclasses.replace(one, presets={**one.presets, "short": {"pattern": "x"}})
    found = configuration_of(one, {"preset": None, "variant": None, **settings})
    assert found == configuration
    assert Run("toy", "a", 1, None, {}, found).name == name
    assert Run("toy", "a", 1, "few_all", {}, found).name == name.replace("seed", "split-few_all-seed")


def test_configurations_lie_side_by_side_and_are_rows_of_the_report(tmp_path):
    """Two presets, one of which a task lacks, and published numbers of one of them."""
    published = (
        Published("A", "validation", {"a": 70.0}, "a paper", of={"preset": "x"}),
        Published("B", "validation", {"a": 60.0, "b": 1.0}, "a paper", of={"preset": "y"}),
        Published("C", "validation", {"a": 50.0}, "a paper"),
    )
    suite = Suite("toy", tasks=[task("a"), task("b")], published=published, averages={"both": ["a", "b"]})
    for name, preset, seed, score in (("a", "x", 1, 0.2), ("a", "x", 2, 0.4), ("a", None, 1, 0.6), ("b", None, 1, 0.8)):
        settings = {"preset": preset, "variant": None}
        said = configuration_of(suite.chosen([name])[0], settings)
        run = Run("toy", name, seed, None, settings, said, state="finished", scores={"accuracy": score}, seconds=60)
        write_run(run, tmp_path / name / run.name)
    assert sorted(file.parent.name for file in tmp_path.glob("a/*/run.json")) == ["seed-1", "x-seed-1", "x-seed-2"]
    report = suite_report(suite, tmp_path)
    means = {title: one["mean"] for title, one in report["tasks"].items()}
    assert means == pytest.approx({"a": 60, "a, x": 30, "b": 80})
    assert report["averages"] == {"both": pytest.approx(70), "both, x": None}
    tables = {heading: rows for heading, _, rows, _ in report_tables(report)}
    assert [row[:4] for row in tables["Scores"]] == [
        ["a", "accuracy", "validation", "60.00"],
        ["a, x", "accuracy", "validation", "30.00 ± 14.14"],
        ["b", "accuracy", "validation", "80.00"],
        ["mean: both", "a, b", "–", "70.00"],
        ["mean: both, x", "a, b", "–", "–"],
    ]
    assert tables["Published, on validation"] == [
        ["these runs", "60.00", "80.00"],
        ["these runs, x", "30.00 ± 14.14", "–"],
        ["A", "70.00", "–"],
        ["C", "50.00", "–"],
    ]


@pytest.mark.slow
def test_two_presets_of_a_task_do_not_clash(data, tmp_path):
    made = [Training(SUITE, data, tmp_path, ["there"], [1], preset=one, options=OPTIONS) for one in (None, "article")]
    runs = [training.run()[0] for training in made]
    assert [(run.name, run.state) for run in runs] == [("seed-1", "finished"), ("article-seed-1", "finished")]
    assert [run.hyperparameters["learning_rate"] for run in runs][1] == 1e-3
    # Each is known again.
    assert [training.run()[0] for training in made] == runs
    assert [*suite_report(SUITE, tmp_path)["tasks"]] == ["there", "there, article"]


@dataclasses.dataclass
class Shares(Measure):
    """The share of texts that are people's, times a factor."""

    factor: float = option("Of the share.", 1.0, group="Scores")

    def scores(self, model, examples, settings, device):
        share = sum("人" in one["text"] for one in examples["validation"]) / len(examples["validation"])
        return {"accuracy": self.factor * share, "seen": [model, {*settings} & {"model", "seed"}, str(device)]}


def test_a_measure_scores_in_place_of_the_job_and_may_need_no_training(data, tmp_path):
    one = dataclasses.replace(
        task("there", measure=Shares, apart=["factor"]), presets={"plain": {"num_train_epochs": 0}}
    )
    suite = Suite("toy", tasks=[one])
    given, _ = training_parser(suite, {"DATA": "the data"}).words(["data", "--factor", "0.5", "--model", "a/model"])
    assert given == {"factor": 0.5, "model": "a/model"}
    options = {**given, "use_cpu": True}
    (run,) = Training(suite, data, tmp_path, seeds=[1], preset="plain", options=options).run()
    assert run.error is None
    assert run.scores == {"accuracy": 0.25, "seen": ["a/model", "{'model'}", "cpu"]}
    assert (run.name, run.hyperparameters) == ("plain-factor-0.5-seed-1", {})
    assert [file.name for file in (tmp_path / "there" / run.name).iterdir()] == ["run.json"]
    # A job alone knows no such option.
    with pytest.raises(ValueError, match="factor has no effect on the tasks that are trained"):
        Training(SUITE, data, tmp_path, options=options)
    with pytest.raises(NotImplementedError):
        Measure().scores("a/model", {}, {}, "cpu")


def test_a_score_may_be_the_official_scorers(tmp_path):
    """By it runs are reported and the best is chosen."""
    own = task("a", also={"share of the job": "accuracy"})
    own = dataclasses.replace(own, metric="F of the script", score="F of the script")
    suite = Suite("toy", tasks=[own])
    for seed, accuracy, official in ((1, 0.9, 0.2), (2, 0.1, 0.4)):
        scores = {"accuracy": accuracy}
        run = Run("toy", "a", seed, None, {}, state="finished", scores=scores, official={own.score: official, "G": 0})
        write_run(run, run_folder(tmp_path, run))
    (best, _) = best_run(find_runs(tmp_path, suite), own)
    assert best.seed == 2
    found = suite_report(suite, tmp_path)["tasks"]["a"]
    assert found["mean"] == pytest.approx(30)
    assert {name: mean for name, (mean, _) in found["also"].items()} == {"share of the job": 50, "G": 0}


def test_a_preset_trains_the_tasks_that_have_it(data, tmp_path):
    suite = Suite("toy", tasks=[task("there"), dataclasses.replace(task("other"), presets={"own": {}})])
    assert [one.name for one in Training(suite, data, tmp_path, preset="own").chosen] == ["other"]
    with pytest.raises(ValueError, match="preset of there must be one that it has, article, got 'own'"):
        Training(suite, data, tmp_path, tasks=["there"], preset="own")


def test_a_preset_may_train_by_another_job():
    other = dataclasses.replace(task("a"), job="similarity", options={"max_length": 8}, presets={})
    own = task("a", otherwise={"vectors": other})
    assert own.trained("vectors") is other
    assert own.trained("article") is own.trained(None) is own
    assert own.settings("vectors") == {"max_length": 8}
    assert own.settings("article") == {"metric_for_best_model": "accuracy", "learning_rate": 1e-3}
    assert Suite("toy", tasks=[own]).presets == ("article", "vectors")
    assert "pooling" in training_parser(Suite("toy", tasks=[own]), {}).options


def test_runs_of_another_suite_are_refused(tmp_path):
    run = Run("other", "there", 1, None, {})
    write_run(run, tmp_path / "there" / run.name)
    with pytest.raises(ValueError, match="runs must be of the suite toy, got one of other"):
        suite_report(SUITE, tmp_path)
    (tmp_path / "there" / run.name / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"run\.json must be as hf-ext writes it"):
        suite_report(SUITE, tmp_path)
    with pytest.raises(ValueError, match="there must be a folder of runs"):
        suite_report(SUITE, tmp_path / "none")


def test_parts_of_a_table_for_files_of_json(tmp_path):
    (tmp_path / "a.json").write_text('{"text": "甲", "label": 3}\n{"text": "乙", "id": 7}\n', encoding="utf-8")
    rows = list(json_rows(example)([tmp_path / "a.json"]))
    assert rows == [
        Row((str(tmp_path / "a.json"), 1), 0, {"text": "甲", "label": "3"}),
        Row((str(tmp_path / "a.json"), 2), 7, {"text": "乙"}),
    ]
    assert text_field({"b": "甲"}, "here", "a", "b") == "甲"
    for record in ({"c": "甲"}, {"a": 3}):
        with pytest.raises(ValueError, match="here: a row must have a text under a or b"):
            text_field(record, "here", "a", "b")
    assert prediction_line({"id": 3, "label": "102", "logits": {}}) == {"id": "3", "label": "102"}


def test_only_the_first_of_several_processes_speaks_and_writes(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    (run,) = Training(SUITE, data, tmp_path, tasks=["absent"], seeds=[1], options=OPTIONS).run()
    assert run.state == "failed"
    assert not (tmp_path / "absent" / "seed-1").exists()
    assert capsys.readouterr().err == ""


def test_a_run_that_cannot_be_read_stops_no_other(data, tmp_path):
    folder = tmp_path / "absent" / "seed-1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{", encoding="utf-8")
    first, second = Training(SUITE, data, tmp_path, tasks=["absent"], seeds=[1, 2], options=OPTIONS).run()
    assert (first.state, second.state) == ("failed", "failed")
    assert "run.json must be as hf-ext writes it" in first.error
    assert "absent must have train.json" in second.error
    assert (folder / "run.json").read_text(encoding="utf-8") == "{"


def test_there_must_be_a_run_to_predict_with(data, tmp_path):
    with pytest.raises(ValueError, match="there must be runs of the suite toy that have ended, got none in"):
        list(predict_suite(SUITE, data, tmp_path))
    assert list(predict_suite(SUITE, data, tmp_path, ["there"])) == [("there", "failed: no run has ended")]
