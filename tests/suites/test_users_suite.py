"""A user's own suite, that of the documents: checked, trained with two seeds, predicted and reported by the program."""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.suites import find_runs, load_suite, predict_suite, suite_report
from hf_ext.suites.discovery import SUITE

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "suites.md"
HEADER = "#1 ID\t#2 ID\t#1 String\t#2 String"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def glue(tmp_path_factory):
    """The file of the documents, and a folder with a few pairs."""
    folder = tmp_path_factory.mktemp("glue")
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if f"{SUITE} = " in block)
    (folder / "mrpc.py").write_text(code, encoding="utf-8")
    data = folder / "data" / "MRPC"
    data.mkdir(parents=True)
    for name, number in (("train", 8), ("dev", 4)):
        rows = [f"{n % 2}\t{n}\t{n}\tHe said {n}.\tShe said {n + n % 2}." for n in range(number)]
        (data / f"{name}.tsv").write_text("\n".join([f"\ufeffQuality\t{HEADER}", *rows]) + "\n", encoding="utf-8")
    rows = [f"{n}\t{n}\t{n}\tHe said {n}.\tHe said {n + 1}." for n in range(5)]
    (data / "test.tsv").write_text("\n".join([f"index\t{HEADER}", *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(glue):
    """What training printed, with runs of two seeds."""
    options = ("--config", "tiny", "--max-steps", 2, "--use-cpu", "--seeds", 1, 2, "--disable-tqdm", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        words = ("suite", glue / "mrpc.py", "train", glue / "data", "--output-dir", glue / "runs", *options)
        result = run(*words)
        assert result.exit_code == 0, result.output
        yield glue, words, result.output


def test_check_shows_a_row_of_each_class_and_counts(glue):
    result = run("suite", glue / "mrpc.py", "check", glue / "data")
    assert result.exit_code == 0, result.output
    assert "train 8, validation 4, test 5" in result.output
    assert "warning: MRPC, train: 8 rows are there, officially 3,668" in result.output
    assert "He said 0. | She said 0." in result.output
    (glue / "data" / "MRPC" / "dev.tsv").rename(glue / "dev.tsv")
    try:
        result = run("suite", glue / "mrpc.py", "check", glue / "data", "--tasks", "MRPC")
    finally:
        (glue / "dev.tsv").rename(glue / "data" / "MRPC" / "dev.tsv")
    assert result.exit_code == 1
    assert "error: MRPC, validation: MRPC must have dev.tsv for its part validation" in result.output


def test_train_makes_a_run_of_each_seed_and_leaves_it_alone_then(trained):
    glue, words, output = trained
    assert output.count("finished") == 2
    suite = load_suite(glue / "mrpc.py")
    runs = {run.seed: run for run, _ in find_runs(glue / "runs", suite)}
    assert {run.state for run in runs.values()} == {"finished"}
    for seed, one in runs.items():
        saved = json.loads((glue / "runs" / "MRPC" / f"seed-{seed}" / "scores.json").read_text(encoding="utf-8"))
        assert one.score(suite.tasks[0]) == saved["accuracy"]
        assert one.settings["max_steps"] == 2
    before = (glue / "runs" / "MRPC" / "seed-1" / "model.safetensors").stat().st_mtime_ns
    again = run(*words)
    assert again.exit_code == 0, again.output
    assert (glue / "runs" / "MRPC" / "seed-1" / "model.safetensors").stat().st_mtime_ns == before


def test_predict_keeps_order_ids_and_logits(trained):
    glue, _, _ = trained
    result = run("suite", glue / "mrpc.py", "predict", glue / "data", glue / "runs", "--use-cpu")
    assert result.exit_code == 0, result.output
    folder = glue / "runs" / "predictions"
    lines = (folder / "seed-1" / "MRPC" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["id"] for one in found] == [0, 1, 2, 3, 4]
    for one in found:
        assert one["label"] == max(one["logits"], key=one["logits"].get)
        assert {*one["logits"]} == {"0", "1"}
    # Of equal runs the first.
    runs = [run for run, _ in find_runs(glue / "runs", load_suite(glue / "mrpc.py"))]
    best = max(runs, key=lambda run: run.scores["accuracy"])
    own = (folder / best.name / "MRPC" / "test.jsonl").read_bytes()
    assert (folder / "best" / "MRPC" / "test.jsonl").read_bytes() == own


def test_pack_writes_lines_of_the_suites_own(trained):
    glue, _, _ = trained
    suite = load_suite(glue / "mrpc.py")
    stale = glue / "runs" / "predictions" / "best" / "MRPC" / "test1.jsonl"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text("{}\n", encoding="utf-8")
    list(predict_suite(suite, glue / "data", glue / "runs", use_cpu=True))
    # What an earlier run has left there is not mixed with this one's.
    assert [file.name for file in stale.parent.iterdir()] == ["test.jsonl"]
    words = ("suite", glue / "mrpc.py", "pack", stale.parent.parent, glue / "mrpc.zip", "--data", glue / "data")
    result = run(*words)
    assert result.exit_code == 0, result.output
    with ZipFile(glue / "mrpc.zip") as archive:
        lines = [json.loads(line) for line in archive.read("MRPC.jsonl").decode().splitlines()]
    assert [one["index"] for one in lines] == [0, 1, 2, 3, 4]
    assert {one["prediction"] for one in lines} <= {"0", "1"}


def test_a_prediction_is_that_of_the_pipeline(trained):
    from transformers import pipeline

    glue, _, _ = trained
    suite = load_suite(glue / "mrpc.py")
    assert [told for _, told in predict_suite(suite, glue / "data", glue / "runs", use_cpu=True)] == ["5 of test"] * 2
    lines = (glue / "runs" / "predictions" / "seed-2" / "MRPC" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    classify = pipeline("classification", model=str(glue / "runs" / "MRPC" / "seed-2"), device="cpu")
    pairs = [{"text": f"He said {n}.", "text2": f"He said {n + 1}."} for n in range(5)]
    assert [one[0]["label"] for one in classify(pairs)] == [json.loads(line)["label"] for line in lines]


def test_report_has_mean_deviation_and_settings(trained):
    glue, _, _ = trained
    result = run("suite", glue / "mrpc.py", "report", glue / "runs", "--title", "MRPC <of> ours")
    assert result.exit_code == 0, result.output
    report = json.loads((glue / "runs" / "report.json").read_text(encoding="utf-8"))
    assert report == json.loads(json.dumps(suite_report(load_suite(glue / "mrpc.py"), glue / "runs")))
    own = report["tasks"]["MRPC"]
    first, second = (one["score"] for one in own["runs"])
    assert own["mean"] == pytest.approx((first + second) / 2)
    assert own["deviation"] == pytest.approx(abs(first - second) / 2**0.5)
    assert (own["settings"]["max_steps"], own["differing"]) == (2, {})
    assert "MRPC &lt;of&gt; ours" in (glue / "runs" / "report.html").read_text(encoding="utf-8")
    assert f"{own['mean']:.2f} ± {own['deviation']:.2f}" in (glue / "runs" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("SUITE = 1", f"must define {SUITE}, a hf_ext.suites.Suite, got int"),
        ("1 / 0", "cannot be run: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_without_a_suite_is_refused(tmp_path, code, message):
    (tmp_path / "own.py").write_text(code, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_suite(tmp_path / "own.py")
    with pytest.raises(ValueError, match="a suite must be a Python file that defines SUITE"):
        load_suite(tmp_path / "other.py")
