"""FewCLUE's tables: patterns for every class, files by split, and rows as clozes and as they are fine-tuned on."""

import json

import pytest

from hf_ext.data.labelled_texts import read_labelled_texts
from hf_ext.suites import Training, predict_suite, shipped_suites, suite_report
from hf_ext.suites.files import find_part, read_part, usable, write_examples
from hf_ext.suites.packing import expected_files, submission_contents
from hf_ext.suites.report import report_tables
from hf_ext.suites.submission import file_of_rows, validate_file
from hf_ext.tasks.cloze import ClozePattern, read_cloze_texts
from hf_ext.tasks.multiple_choice import read_choices

SUITE = shipped_suites()["fewclue"]
TASKS = {task.name: task for task in SUITE.tasks}
WSC = {"span1_text": "老王", "span1_index": 0, "span2_text": "他", "span2_index": 5}
# A row of each task, and what it is fine-tuned on.
ROWS = {
    "eprstmt": ({"sentence": "好", "label": "Positive"}, {"text": "好", "label": "Positive"}),
    "csldcp": ({"content": "甲", "label": "力学"}, {"text": "甲", "label": "力学"}),
    "tnews": ({"sentence": "甲", "label": 102}, {"text": "甲", "label": "102"}),
    "iflytek": ({"sentence": "甲", "label": 7}, {"text": "甲", "label": "7"}),
    "ocnli": (
        {"sentence1": "甲", "sentence2": "乙", "label": "neutral"},
        {"text": "甲", "text2": "乙", "label": "neutral"},
    ),
    "bustm": ({"sentence1": "甲", "sentence2": "乙", "label": "1"}, {"text": "甲", "text2": "乙", "label": "1"}),
    "csl": (
        {"keyword": ["甲", "乙"], "abst": "丙。", "label": "0"},
        {"text": "甲；乙", "text2": "丙。", "label": "0"},
    ),
    "chid": (
        {"content": "他#idiom#。", "candidates": ["画蛇添足", "守株待兔"], "answer": 1},
        {"text": "他#idiom#。", "blank": "#idiom#", "choices": ["画蛇添足", "守株待兔"], "label": 1},
    ),
    "cluewsc": (
        {"target": WSC, "text": "老王走了，他", "label": "true"},
        {"text": "_老王_走了，[他]", "label": "true"},
    ),
}
CLASSES = {"eprstmt": 2, "csldcp": 67, "tnews": 15, "iflytek": 119, "ocnli": 3, "bustm": 2, "csl": 2, "cluewsc": 2}


@pytest.mark.parametrize("name", ["csldcp", "iflytek"])
def test_words_of_ours_tell_every_class_from_every_other(shared, name):
    pattern = ClozePattern.load(f"fewclue/{name}")
    words = [word for (word,) in pattern.words.values()]
    assert len({*words}) == len(words) == CLASSES[name]
    assert not pattern.shared_words
    vocabulary = (shared / "vocab" / "bert-base-chinese.vocab.txt").read_text(encoding="utf-8").split("\n")
    assert {character for word in words for character in word} <= {*vocabulary}
    assert {len(word) for word in words} == {2}


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.name)
def test_every_class_has_a_word(task):
    assert len(task.labels) == CLASSES.get(task.name, 0)
    assert task.options["pattern"] == f"fewclue/{task.name}"
    assert task.settings("official")["num_train_epochs"] == {"tnews": 5, "iflytek": 6}.get(task.name, 20)


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.name)
def test_real_files_become_what_the_job_reads(shared, task, tmp_path):
    data = shared / "data" / "fewclue"
    assert find_part(data, task, "train", "0")[0].name == "train_0.json"
    pattern = ClozePattern.load(task.options["pattern"])
    for part in ("train", "test_public"):
        rows = usable(task, read_part(data, task, part, "0"))
        write_examples(rows, tmp_path / "rows.jsonl")
        examples = read_cloze_texts(tmp_path / "rows.jsonl", pattern)
        assert len(examples) == len(rows) > 0
        for example in examples:
            pattern.segments(example)
        plain = task.trained("finetuning")
        rows = usable(plain, read_part(data, plain, part, "0"))
        write_examples(rows, tmp_path / "rows.jsonl")
        read = read_choices if plain.job == "multiple-choice" else read_labelled_texts
        assert len(read(tmp_path / "rows.jsonl")) == len(rows) == len(examples)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_a_cloze_or_is_fine_tuned_on(name, tmp_path):
    record, expected = ROWS[name]
    task = TASKS[name]
    (tmp_path / name).mkdir()
    (tmp_path / name / "train_0.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (row,) = read_part(tmp_path, task.trained("finetuning"), "train", "0")
    assert row.example == expected
    (row,) = read_part(tmp_path, task, "train", "0")
    write_examples([row], tmp_path / "rows.jsonl")
    pattern = ClozePattern.load(task.options["pattern"])
    (example,) = read_cloze_texts(tmp_path / "rows.jsonl", pattern)
    assert example["label"] == str(expected["label"])
    settings, plain = task.settings("official"), task.settings("finetuning")
    for setting in ("max_length", "num_train_epochs", "per_device_train_batch_size"):
        assert settings[setting] == plain[setting]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bustm", "chid"])
def test_zero_shot_pet_and_fine_tuning_by_the_same_command(name, tmp_path, monkeypatch):
    """Three rows of a report, of which the first was not trained; and a submission for each board."""
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    data, runs = tmp_path / "data", tmp_path / "runs"
    (data / name).mkdir(parents=True)
    record, _ = ROWS[name]
    other = {"label": "0"} if "label" in record else {"answer": 0}
    labelled = [{**record, "id": 1}, {**record, **other, "id": 2}]
    unlabelled = [{key: value for key, value in record.items() if key not in other} | {"id": n} for n in (7, 5)]
    for file, rows in (
        ("train_0", labelled),
        ("dev_0", labelled),
        ("train_few_all", labelled),
        ("dev_few_all", labelled),
        ("test_public", [*labelled, labelled[0]]),
        ("test", unlabelled),
    ):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (data / name / f"{file}.json").write_text("".join(lines), encoding="utf-8")
    options = {"config": "tiny", "max_length": 32, "use_cpu": True, "disable_tqdm": True}
    made = {}
    for preset, splits in (("zero-shot", ["0"]), ("official", ["0", "few_all"]), ("finetuning", ["0"])):
        own = {} if preset == "zero-shot" else {"max_steps": 1}
        for one in Training(SUITE, data, runs, [name], [1], splits, preset, options={**options, **own}).run():
            assert (one.state, one.error) == ("finished", None)
            made[one.name] = one
    untrained = made["zero-shot-split-0-seed-1"]
    assert untrained.scores["accuracy"] == untrained.scores["accuracy_before"]
    assert untrained.hyperparameters == {}
    report = suite_report(SUITE, runs)
    presets = ("finetuning", "official", "zero-shot")
    assert list(report["tasks"]) == [f"{name}, {preset}" for preset in presets]
    for one in report["tasks"].values():
        (first,) = (run for run in one["runs"] if run["split"] == "0")
        assert one["mean"] == pytest.approx(first["score"])
    (published,) = (rows for heading, _, rows, _ in report_tables(report) if heading.startswith("Published"))
    assert [row[0] for row in published[:4]] == [*(f"these runs, {preset}" for preset in presets), "majority"]
    told = dict(predict_suite(SUITE, data, runs, use_cpu=True))
    assert {*told.values()} == {"2 of test"}
    for contents, splits in (
        (submission_contents(SUITE, runs / "predictions" / "best"), None),
        (submission_contents(SUITE, runs / "predictions", ["0", "few_all"]), ["0", "few_all"]),
    ):
        expected = list(expected_files(SUITE, data, splits=splits))
        assert [*contents] == [file for file, _, _ in expected]
        for file, task, rows in expected:
            lines = "".join(json.dumps(line) + "\n" for line in contents[file])
            (tmp_path / file).write_text(lines, encoding="utf-8")
            assert validate_file(tmp_path / file, file_of_rows(file, task.submission, rows, task.labels)) == []
            assert [line["id"] for line in contents[file]] == [7, 5]


def test_lines_of_a_submission_keep_ids_and_types():
    lines = {task.name: task.submission_line({"id": 3000, "label": "1"}) for task in SUITE.tasks}
    assert lines["bustm"] == {"id": 3000, "label": "1"}
    assert lines["chid"] == {"id": 3000, "answer": 1}


def test_splits_are_those_of_the_benchmark():
    assert SUITE.chosen_splits(None) == ("0", "1", "2", "3", "4")
    assert SUITE.chosen_splits(["few_all"]) == ("few_all",)
    with pytest.raises(ValueError, match="splits must be of 0, 1, 2, 3, 4, few_all, got '5'"):
        SUITE.chosen_splits(["5"])
