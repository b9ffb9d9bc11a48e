"""`hf-ext similarity-suite` by the program: vectors as they are, whitened, after SimCSE, and published numbers."""

import json
import math

import pytest
from transformers import pipeline
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.suites import Training, find_runs, suite_report
from hf_ext.suites.report import report_tables
from hf_ext.suites.similarity.protocol import score_pairs
from hf_ext.suites.similarity.suite import SUITE

ENDINGS = {"train": "train", "validation": "valid", "test": "test"}
OPTIONS = {"use_cpu": True, "disable_tqdm": True}


def run(*words):
    return CliRunner().invoke(app, ["similarity-suite", *map(str, words)])


@pytest.fixture(scope="module")
def data(tmp_path_factory, parts):
    """ATEC, with two lines that are left out, and BQ, whose test pairs all have one score."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("ATEC", "BQ"):
        (folder / name).mkdir()
        for part, pairs in parts.items():
            same = name == "BQ" and part == "test"
            lines = [f"{pair['text1']}\t{pair['text2']}\t{1 if same else pair['score']}" for pair in pairs]
            bad = ["天地\t玄黄", "天\t地\t玄\t1"] if name == "ATEC" and part == "train" else []
            text = "\n".join([*lines, *bad]) + "\n"
            (folder / name / f"{name}.{ENDINGS[part]}.data").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def measured(data, encoder, tmp_path_factory):
    """A folder of runs in which nothing is trained: both ways, two poolings, two sizes, fitted to train or to all."""
    output = tmp_path_factory.mktemp("runs")
    for pooling in ("cls", "first_last"):
        for preset, more in (
            ("plain", {}),
            ("whitening", {}),
            ("whitening", {"whitened_size": 5}),
            ("whitening", {"whitened_size": 5, "whiten_on": "all"}),
        ):
            options = {**OPTIONS, "model": str(encoder), "pooling": pooling, **more}
            runs = Training(SUITE, data, output, ["ATEC"], [1, 2], preset=preset, options=options).run()
            assert [run.error for run in runs] == [None, None]
    return output


def test_scores_are_those_of_the_protocol(measured, embed, parts):
    found = {run.name: run.scores for run, _ in find_runs(measured, SUITE)}
    assert len(found) == 16
    for pooling in ("cls", "first_last"):
        for name, whiten_on, size in (
            ("plain-pooling-{}", None, None),
            ("whitening-pooling-{}", "train", None),
            ("whitening-pooling-{}-whitened-size-5", "train", 5),
            ("whitening-pooling-{}-whiten-on-all-whitened-size-5", "all", 5),
        ):
            wanted = score_pairs(embed, parts, whiten_on, size, pooling=pooling, max_length=64)
            for seed in (1, 2):
                own = found[f"{name.format(pooling)}-seed-{seed}"]
                assert own == {"spearman": wanted["validation"], "test": {"spearman": wanted["test"], **wanted}}


def test_no_model_is_written_where_none_is_trained(measured):
    for _, folder in find_runs(measured, SUITE):
        assert [file.name for file in folder.iterdir()] == ["run.json"]


def test_a_report_has_all_ways_side_by_side_and_published_ones_of_the_same(measured):
    report = suite_report(SUITE, measured)
    tables = {heading: (columns, rows, below) for heading, columns, rows, below in report_tables(report)}
    titles = [row[0] for row in tables["Scores"][1]]
    assert titles[:4] == [
        "ATEC, plain, pooling cls",
        "ATEC, plain, pooling first_last",
        "ATEC, whitening, pooling cls",
        "ATEC, whitening, pooling cls, whiten on all, whitened size 5",
    ]
    one = report["tasks"][titles[0]]
    assert tables["Scores"][1][0][1:3] == ["Spearman's rank correlation", "test"]
    # Nothing is drawn.
    assert one["deviation"] == 0
    assert {*one["also"]} == {"validation", "train", "mean of parts", "mean by pairs"}
    columns, rows, below = tables["Published, on test"]
    assert columns == ["model", "ATEC"]
    names = [name for name, _ in rows]
    own = names.index("these runs, plain, pooling cls")
    assert rows[own][1].endswith(" ± 0.00")
    assert rows[own + 1] == ["BERT-P1, plain", "16.59"]
    beside = names[own + 1 : names.index("these runs, plain, pooling first_last")]
    assert {name.partition(", ")[2] for name in beside} == {"plain"}
    assert {name.partition(", ")[0].partition("-")[2] for name in beside} == {"P1"}
    assert ["SimBERT_tiny-P1, plain", "30.51"] in rows
    # Nobody has published vectors of five numbers, and none was trained here.
    assert not any("whitening to" in name or "SimCSE" in name for name in names)
    assert "does not say on which part" in below


def test_what_is_constant_has_no_correlation(data, encoder, tmp_path):
    words = ("--tasks", "BQ", "--preset", "plain", "--model", encoder, "--use-cpu", "--output-dir", tmp_path)
    result = run("train", data, *words, "--seeds", 1, 2)
    assert result.exit_code == 0, result.output
    (first, _), (second, _) = find_runs(tmp_path, SUITE)
    assert math.isnan(first.scores["test"]["spearman"])
    assert not math.isnan(second.scores["spearman"])
    result = run("report", tmp_path)
    assert result.exit_code == 0, result.output
    assert "| BQ, plain, pooling mean | Spearman's rank correlation | test | NaN ± NaN |" in result.output
    # JSON has no such number.
    assert "NaN" not in next(tmp_path.rglob("report.json")).read_text(encoding="utf-8")


def test_check_counts_and_says_what_is_left_out(data):
    result = run("check", data, "--json")
    assert result.exit_code == 0, result.output
    rows = {one["task"]: one["rows"] for one in json.loads(result.stdout)}
    assert rows["ATEC"] == {"train": 40, "validation": 11, "test": 25}
    (said,) = (
        finding["message"]
        for one in json.loads(result.stdout)
        for finding in one["findings"]
        if "have not three fields" in finding["message"]
    )
    assert said.startswith("2 of 42 lines of ")


@pytest.mark.slow
def test_simcse_learns_from_the_texts_of_training_or_of_all(data, encoder, tmp_path, parts, monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    words = ("--tasks", "ATEC", "--preset", "simcse", "--model", encoder, "--use-cpu", "--output-dir", tmp_path)
    options = ("--max-steps", 2, "--per-device-train-batch-size", 8, "--disable-tqdm", True, "--seed", 1)
    for more in (("--pooling", "cls"), ("--texts-of", "all", "--whiten-on", "train", "--whitened-size", 4)):
        result = run("train", data, *words, *options, *more)
        assert result.exit_code == 0, result.output
        assert "predict" not in result.output
    names = ["simcse-pooling-cls-seed-1", "simcse-pooling-mean-whiten-on-train-whitened-size-4-texts-of-all-seed-1"]
    (first, folder), (second, other) = find_runs(tmp_path, SUITE)
    assert [first.name, second.name] == names
    assert first.hyperparameters["learning_rate"] == 1e-5
    for own, saved, how in (
        (first, folder, {"pooling": "cls"}),
        (second, other, {"whiten_on": "train", "size": 4, "pooling": "mean"}),
    ):
        wanted = score_pairs(pipeline("text-embedding", model=str(saved)), parts, max_length=64, **how)
        assert own.scores["test"] == pytest.approx({"spearman": wanted["test"], **wanted}, abs=1e-9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pack", "{data}", "{data}/a.zip"), "suite must have submissions to pack or validate, got similarity-suite"),
        (("validate", "{data}/a.zip", "{data}"), "suite must have submissions to pack or validate"),
        (("predict", "{data}", "{data}"), "suite must have files to predict, got similarity-suite"),
    ],
)
def test_what_the_suite_has_not_is_refused(data, words, message):
    result = run(*(word.format(data=data) for word in words))
    assert result.exit_code != 0
    assert message in " ".join(result.output.split()) + str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "plain", "options": {"config": "tiny"}}, "model must be given where nothing is trained"),
        ({"options": {"whitened_size": 3}}, "whitened_size goes with whiten_on, got 3 without it"),
        ({"options": {"whiten_on": "test"}}, "whiten_on must be one of train, all, got 'test'"),
        ({"options": {"texts_of": "all"}}, "texts_of goes with loss=simcse, got all with cosent"),
    ],
)
def test_wrong_settings_fail_before_anything_is_trained(data, encoder, tmp_path, options, message):
    given = {"model": str(encoder), **options.get("options", {})}
    if "config" in given:
        del given["model"]
    training = Training(SUITE, data, tmp_path, ["ATEC"], preset=options.get("preset"), options={**OPTIONS, **given})
    (failed,) = training.run()
    assert message in failed.error
