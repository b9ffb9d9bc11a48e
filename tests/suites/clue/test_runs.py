"""All of CLUE by the program: every task trained by each preset, predicted, packed, validated and reported."""

import json
from zipfile import ZipFile

import pytest
from clue_sample import write_clue
from transformers import AutoModel, AutoTokenizer
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.suites import find_runs, shipped_suites
from hf_ext.suites.prediction import read_predictions
from hf_ext.tasks.base.head_choice import OWN

pytestmark = pytest.mark.slow

CLUE = shipped_suites()["clue"]
OPTIONS = ("--config", "tiny", "--max-steps", "1", "--use-cpu", "--disable-tqdm", "true")
PAIRS = ("afqmc", "cmnli", "ocnli", "csl", "cmrc2018")
FILES = {
    "iflytek_predict.json", "tnews10_predict.json", "tnews11_predict.json", "afqmc_predict.json", "cmnli_predict.json",
    "diagnostics_predict.json", "ocnli_50k_predict.json", "cluewsc10_predict.json", "cluewsc11_predict.json",
    "csl_predict.json", "cmrc2018_predict.json", "c310_predict.json", "c311_predict.json", "chid10_predict.json",
    "chid11_predict.json", "cluener_predict.json",
}  # fmt: skip


def program(*words):
    result = CliRunner().invoke(app, ["clue", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_clue(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def article(data, tmp_path_factory):
    """The folder of runs by the articles' settings, with predictions."""
    folder = tmp_path_factory.mktemp("article")
    program("train", data, "--preset", "article", *OPTIONS, "--output-dir", folder)
    program("predict", data, folder, "--use-cpu")
    return folder


def runs_of(folder):
    found = {run.task: (run, path) for run, path in find_runs(folder, CLUE)}
    assert list(found) == [task.name for task in CLUE.tasks]
    assert {run.state for run, _ in found.values()} == {"finished"}
    return found


def options_of(path):
    return json.loads((path / "job.json").read_text(encoding="utf-8"))["options"]


def test_the_articles_settings_train_every_task(article):
    for task, (run, path) in runs_of(article).items():
        options = options_of(path)
        assert options["optimizer"] == "article"
        assert (run.hyperparameters["learning_rate"], run.hyperparameters["lr_scheduler_type"]) == (5e-4, "constant")
        head = {"cmrc2018": "pointer_table", "cluener": "global_pointer"}.get(task, "first_token")
        assert options["head"] == head
        if head == "first_token":
            assert run.scores["head"] == head
        # Both texts of a pair have the type 0, whoever reads with the tokenizer.
        row = AutoTokenizer.from_pretrained(path)("今天", "明天")
        assert ("token_type_ids" not in row) == (task in PAIRS)


def test_the_official_settings_train_every_task(data, tmp_path):
    program("train", data, "--preset", "official", *OPTIONS, "--output-dir", tmp_path)
    for task, (run, path) in runs_of(tmp_path).items():
        assert options_of(path)["optimizer"] is None
        assert run.hyperparameters["lr_scheduler_type"] == "linear"
        heads = {"cmrc2018": "start_end", "cluener": "crf", "c3": OWN, "chid": OWN}
        assert options_of(path)["head"] == heads.get(task)
        assert run.scores.get("head") == (None if task in ("cmrc2018", "cluener") else OWN)


def test_adapters_in_half_precision_train_each_kind_of_task(article, data, tmp_path):
    for opened in (AutoModel, AutoTokenizer):
        opened.from_pretrained(article / "wsc" / "article-seed-42").save_pretrained(tmp_path / "encoder")
    tasks = ("wsc", "cmrc2018", "c3", "cluener")
    options = ("--model", tmp_path / "encoder", "--lora", 2, "--bf16", *OPTIONS[2:], "--output-dir", tmp_path / "runs")
    program("train", data, "--tasks", *tasks, *options)
    runs = [run for run, _ in find_runs(tmp_path / "runs", CLUE)]
    assert [(run.task, run.state) for run in runs] == [(task, "finished") for task in tasks]
    assert {(run.settings["lora"], run.hyperparameters["bf16"]) for run in runs} == {(2, True)}
    assert not list((tmp_path / "runs").rglob("adapter*"))


def test_questions_with_choices_are_predicted_in_order_with_all_logits(article):
    for part, first in (("test1.0", 884), ("test1.1", 888)):
        found = read_predictions(article / "predictions" / "best" / "c3" / f"{part}.jsonl")
        assert [one["id"] for one in found] == [first - number for number in range(4)]
        numbers = range(16, 20) if part == "test1.0" else range(12, 16)
        # As many logits as a question has choices, of which the best is taken.
        assert [len(one["logits"]) for one in found] == [2 + number % 3 for number in numbers]
        assert all(one["logits"][one["label"]] == max(one["logits"]) for one in found)


def test_blanks_of_a_line_get_different_idioms(article):
    found = read_predictions(article / "predictions" / "best" / "chid" / "test1.1.jsonl")
    assert [one["id"] for one in found] == [f"#idiom{number:06}#" for number in range(24, 32)]
    assert {len(one["logits"]) for one in found} == {10}
    for one, other in zip(found[::2], found[1::2]):
        assert one["label"] != other["label"]
    run, _ = runs_of(article)["chid"]
    ways = {name: run.scores[f"accuracy_{name}"] for name in ("argmax", "greedy", "assignment")}
    assert run.scores["decoding"] == "assignment"
    assert run.scores["accuracy"] == ways["assignment"]


def test_both_f1_of_cluener_stand_beside_each_other(article):
    run, path = runs_of(article)["cluener"]
    assert list(run.official) == ["macro F1 of strings"]
    assert run.score(CLUE.chosen(["cluener"])[0]) == run.scores["f1"]
    assert options_of(path)["head"] == "global_pointer"


def test_a_submission_of_the_predictions_has_no_faults(article, data, tmp_path):
    zip_file = tmp_path / "submit.zip"
    program("pack", article / "predictions" / "best", zip_file, "--data", data)
    assert "0 errors" in program("validate", zip_file, data)
    with ZipFile(zip_file) as archive:
        assert {*archive.namelist()} == FILES
        lines = archive.read("c310_predict.json").decode().splitlines()
        chid = json.loads(archive.read("chid10_predict.json"))
    assert [json.loads(line)["id"] for line in lines] == ["884", "883", "882", "881"]
    assert list(chid) == [f"#idiom{number:06}#" for number in range(32, 40)]
    other = tmp_path / "other.zip"
    zip_file.rename(other)
    assert "the zip must be called submit.zip" in program("validate", other, data)


def test_the_report_names_each_metric(article):
    told = program("report", article)
    for name in ("macro F1 of strings", "micro F1 of exact spans", "EM", "exact spans of the first answer"):
        assert name in told
    for way in ("argmax", "greedy", "assignment"):
        assert f"accuracy by {way}" in told
    report = json.loads((article / "report.json").read_text(encoding="utf-8"))
    assert report["averages"].keys() == {"classification, article", "reading, article"}
    assert None not in report["averages"].values()
