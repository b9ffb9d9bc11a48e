"""What the check of a suite finds in official files: by its findings, and as the program prints it."""

import json

import pytest
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.suites import TaskCheck, check_suite, shipped_suites

CLUE = shipped_suites()["clue"]


def write(folder, task, name, rows):
    (folder / task).mkdir(exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / task / name).write_text("".join(lines), encoding="utf-8")


def pairs(labels, first=0):
    return [
        {"sentence1": f"甲{number}", "sentence2": "乙", "label": label}
        for number, label in enumerate(labels, start=first)
    ]


@pytest.fixture
def data(tmp_path):
    """Files of OCNLI with nothing wrong but their number."""
    names = ("entailment", "neutral", "contradiction")
    write(tmp_path, "ocnli", "train.50k.json", pairs(names * 5))
    write(tmp_path, "ocnli", "dev.json", pairs(names, first=15))
    write(tmp_path, "ocnli", "test.json", [{"id": number, **one} for number, one in enumerate(_unlabelled(2, 18))])
    return tmp_path


def _unlabelled(number, first):
    return [{"sentence1": f"甲{at}", "sentence2": "乙"} for at in range(first, first + number)]


def found(data, *tasks):
    (own,) = check_suite(CLUE, data, tasks or ("ocnli",))
    return own, {(one.severity, one.kind, one.file) for one in own.findings}


def test_files_without_faults_differ_in_number_alone(data):
    own, findings = found(data)
    counts = {("warning", "count", part) for part in ("train", "validation", "test")}
    assert findings == counts
    assert isinstance(own, TaskCheck)
    assert (own.name, own.severity, own.rows) == ("ocnli", "warning", {"train": 15, "validation": 3, "test": 2})
    assert own.labels["neutral"] == {"train": 5, "validation": 1}
    assert own.shown["neutral"] == "甲1 | 乙"


def test_what_is_wrong_is_found_where_it_is(data):
    write(data, "ocnli", "dev.json", [*pairs(["-", "neutral"], first=30), *pairs(["entailment"])])
    write(data, "ocnli", "test.json", [{"id": 7, **one} for one in _unlabelled(2, 0)])
    own, findings = found(data)
    assert own.left_out == {"validation": 1}
    assert {
        ("note", "no label", "validation"),
        ("error", "ids", "test"),
        ("warning", "leak", "validation"),
        ("warning", "leak", "test"),
    } <= findings
    assert own.severity == "error"


def test_long_texts_are_counted(data):
    write(data, "ocnli", "dev.json", [{**one, "sentence1": "甲" * 200} for one in pairs(["neutral"])])
    own, findings = found(data)
    assert own.cut == {"train": 0.0, "validation": 1.0, "test": 0.0}
    assert ("warning", "cut off", "validation") in findings


@pytest.mark.parametrize(
    ("name", "rows", "severity", "kind"),
    [
        ("train.50k.json", [{"sentence1": "甲", "sentence2": "乙", "label": "yes"}], "error", "unreadable"),
        ("train.50k.json", [], "error", "unreadable"),
        ("dev.json", pairs(["-"]), "error", "no examples"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error(data, name, rows, severity, kind):
    write(data, "ocnli", name, rows)
    _, findings = found(data)
    part = "validation" if name == "dev.json" else "train"
    assert (severity, kind, part) in findings


def test_tasks_that_are_not_there_are_errors_if_they_are_asked_for(data):
    (data / "ocnli" / "dev.json").unlink()
    assert ("error", "missing", "validation") in found(data)[1]
    findings = {(own.task, one.severity) for own in check_suite(CLUE, data) for one in own.findings}
    assert ("afqmc", "warning") in findings
    assert ("afqmc", "error") not in findings
    with pytest.raises(ValueError, match="data must have folders of afqmc with their official files, got none in"):
        check_suite(CLUE, data, ["afqmc"])
    with pytest.raises(ValueError, match="data must be a folder with a folder for each task"):
        check_suite(CLUE, data / "none")


def test_the_program_prints_tables_and_ends_with_1_on_errors(data):
    def run(*words):
        return CliRunner().invoke(app, ["clue", "check", str(data), "--tasks", "ocnli", *words])

    shown = run()
    assert shown.exit_code == 0, shown.output
    assert "warning: ocnli, train: 15 rows are there, officially 50,437" in shown.output
    (told,) = json.loads(run("--json").output)
    assert (told["task"], told["severity"]) == ("ocnli", "warning")
    (data / "ocnli" / "dev.json").write_text("{\n", encoding="utf-8")
    failed = run()
    assert failed.exit_code == 1
    assert "dev.json:1: the file must be JSON" in " ".join(failed.output.split())


def test_all_splits_that_are_there_are_checked(tmp_path):
    rows = [{"id": at, "sentence": f"甲{at}", "label": label} for at, label in enumerate(["Positive", "Negative"])]
    for name in ("train_0", "dev_0", "train_few_all", "dev_few_all", "test_public"):
        write(tmp_path, "eprstmt", f"{name}.json", rows)
    assert [own.name for own in check_suite(shipped_suites()["fewclue"], tmp_path, ["eprstmt"])] == [
        "eprstmt 0",
        "eprstmt few_all",
    ]
