"""What a submission has in it: a line or an entry of each prediction, under the official names."""

import json

import pytest
import typer

from hf_ext.suites import shipped_suites
from hf_ext.suites.actions import pack, validate
from hf_ext.suites.packing import expected_files, submission_contents
from hf_ext.suites.prediction import read_predictions, write_predictions

SUITES = shipped_suites()


def test_files_of_a_submission_are_made_of_predictions(tmp_path):
    write_predictions(tmp_path / "tnews" / "test1.0.jsonl", [{"id": 4, "label": "102", "logits": {"102": 1.0}}])
    answers = [{"id": f"TEST_{number}", "answer": "甲\u2028乙"} for number in (1, 0)]
    write_predictions(tmp_path / "cmrc2018" / "test.jsonl", answers)
    assert read_predictions(tmp_path / "cmrc2018" / "test.jsonl") == answers
    contents = submission_contents(SUITES["clue"], tmp_path)
    assert contents == {
        "tnews10_predict.json": [{"id": "4", "label": "102"}],
        "cmrc2018_predict.json": {"TEST_1": "甲\u2028乙", "TEST_0": "甲\u2028乙"},
    }
    assert list(contents["cmrc2018_predict.json"]) == ["TEST_1", "TEST_0"]
    write_predictions(tmp_path / "cmrc2018" / "test.jsonl", [answers[0], answers[0]])
    with pytest.raises(ValueError, match="ids must differ, got 'TEST_1' twice in"):
        submission_contents(SUITES["clue"], tmp_path)
    with pytest.raises(ValueError, match="there must be predictions of the suite clue"):
        submission_contents(SUITES["clue"], tmp_path / "none")
    (tmp_path / "cmrc2018" / "test.jsonl").write_text('{"id": "TEST_0", "answer": "甲"}\n{"id": "T', encoding="utf-8")
    with pytest.raises(ValueError, match=r"test\.jsonl:2: the line must be JSON"):
        submission_contents(SUITES["clue"], tmp_path)


def test_splits_have_files_of_their_own(tmp_path):
    for split, label in (("0", "1"), ("few_all", "0")):
        write_predictions(tmp_path / f"best-{split}" / "bustm" / "test.jsonl", [{"id": 3000, "label": label}])
    assert submission_contents(SUITES["fewclue"], tmp_path, ["0", "few_all"]) == {
        "bustm_predict_0.json": [{"id": 3000, "label": "1"}],
        "bustm_predict_all.json": [{"id": 3000, "label": "0"}],
    }


def test_what_is_expected_is_told_by_the_test_files_that_are_there(tmp_path):
    (tmp_path / "afqmc").mkdir()
    row = {"id": 5, "sentence1": "甲", "sentence2": "乙"}
    (tmp_path / "afqmc" / "test.json").write_text(json.dumps(row) + "\n", encoding="utf-8")
    ((name, task, rows),) = expected_files(SUITES["clue"], tmp_path)
    assert (name, task.name, [one.id for one in rows]) == ("afqmc_predict.json", "afqmc", [5])
    assert list(expected_files(SUITES["clue"], tmp_path, ["tnews"])) == []


def test_kinds_of_files():
    kinds = {task.name: (task.submission, task.submits_object) for task in SUITES["clue"].tasks}
    assert kinds["tnews"] == ("label", False)
    assert kinds["cluener"] == ("entities", False)
    assert kinds["chid"] == ("idioms", True)
    assert kinds["cmrc2018"] == ("answers", True)
    assert {task.name for task in SUITES["fewclue"].tasks if task.submission == "answer"} == {"chid"}


def test_a_submission_is_not_packed_or_validated_by_test_files_that_are_not_there(tmp_path):
    write_predictions(tmp_path / "best" / "afqmc" / "test.jsonl", [{"id": 0, "label": "1"}])
    target = tmp_path / "submit.zip"
    for data in (tmp_path / "none", tmp_path):
        with pytest.raises(ValueError, match=r"test files of afqmc_predict\.json, got none in"):
            pack(SUITES["clue"], {"data": data}, tmp_path / "best", target)
        with pytest.raises(ValueError, match="data must have the test files of clue, got none in"):
            validate(SUITES["clue"], {}, target, data)
    assert not target.exists()


def test_a_submission_that_lacks_a_file_is_not_packed(tmp_path, capsys):
    """What is packed by the official files is what is found right by them."""
    data, best, target = tmp_path / "data", tmp_path / "best", tmp_path / "submit.zip"
    texts = {"sentence1": "甲", "sentence2": "乙"}
    for folder, record in (
        ("afqmc", {"id": 0, **texts}),
        ("ocnli", {"id": 0, **texts}),
        # Not required.
        ("diagnostics", {"index": 0, "premise": "甲", "hypothesis": "乙"}),
    ):
        (data / folder).mkdir(parents=True)
        (data / folder / "test.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    write_predictions(best / "afqmc" / "test.jsonl", [{"id": 0, "label": "1"}])
    with pytest.raises(ValueError, match=r"--tasks names those .* got none for ocnli_50k_predict\.json in .*best"):
        pack(SUITES["clue"], {"data": data}, best, target)
    assert not target.exists()
    # Of tasks that are named, all of theirs.
    with pytest.raises(ValueError, match=r"got none for ocnli_50k_predict\.json in"):
        pack(SUITES["clue"], {"data": data, "tasks": ["afqmc", "ocnli"]}, best, target)
    one = {"data": data, "tasks": ["afqmc"]}
    pack(SUITES["clue"], one, best, target)
    for given, code in ((one, 0), ({}, 1)):
        with pytest.raises(typer.Exit) as ended:
            validate(SUITES["clue"], given, target, data)
        assert ended.value.exit_code == code
    assert "the zip must have ocnli_50k_predict.json" in capsys.readouterr().out
    write_predictions(best / "ocnli" / "test.jsonl", [{"id": 0, "label": "neutral"}])
    pack(SUITES["clue"], {"data": data}, best, target)
    with pytest.raises(typer.Exit) as ended:
        validate(SUITES["clue"], {}, target, data)
    assert ended.value.exit_code == 0


def test_another_name_of_the_zip_is_told(tmp_path, capsys):
    write_predictions(tmp_path / "best" / "afqmc" / "test.jsonl", [{"id": 0, "label": "1"}])
    pack(SUITES["clue"], {}, tmp_path / "best", tmp_path / "other.zip")
    assert "other.zip: warning: the zip must be called submit.zip" in capsys.readouterr().out
    pack(SUITES["clue"], {}, tmp_path / "best", tmp_path / "submit.zip")
    assert "warning" not in capsys.readouterr().out
