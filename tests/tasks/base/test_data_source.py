"""Every job reads a data set, or tables, as it reads the same rows from files."""

import json
import re

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from jobs_tiny import JOBS
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.tasks.base.data_source import source_of, with_files
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.entities import SpanExtractionJob, read_entities


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("name", JOBS)
def test_a_data_set_is_read_as_files_are(name, tmp_path):
    case = JOBS[name]
    case.write(tmp_path / "job")
    rows = [case.row(number) for number in range(8)]
    sets = DatasetDict(train=Dataset.from_list(rows), dev=Dataset.from_list(rows[:5]))
    sets.save_to_disk(str(tmp_path / "set"))
    wanted = case.make(tmp_path / "job").read()
    options = {"config": "tiny", **case.options}
    job = with_files(case.job(dataset=str(tmp_path / "set"), test_split="dev[:2]", **options))
    assert job.read() == wanted
    assert list(job.read_evaluation(job.test_file, wanted.labels)) == list(wanted.validation[:2])
    assert source_of(job, "validation") == f"{tmp_path / 'set'} (validation)"
    assert source_of(job, "test") == f"{tmp_path / 'set'} (dev[:2])"

    files = {}
    for split, part in sets.items():
        files[split] = tmp_path / f"{split}.parquet"
        part.to_parquet(str(files[split]))
    job = case.job(files["train"], files["dev"], **options)
    assert with_files(job).read() == wanted
    assert source_of(with_files(job), "train") == str(files["train"])
    # Nothing is left to do.
    assert with_files(with_files(job)).read() == wanted


def test_tokens_with_tags_are_entities(tmp_path):
    tags = ClassLabel(names=["O", "B-人", "I-人"])
    features = Features({"tokens": List(Value("string")), "ner_tags": List(tags)})
    rows = [{"tokens": ["张", "三", "来"], "ner_tags": [1, 2, 0]}, {"tokens": ["好", " "], "ner_tags": [0, 0]}]
    Dataset.from_list(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    job = SpanExtractionJob(tmp_path / "a.parquet", tmp_path / "a.parquet", config="tiny")
    wanted = [{"text": "张三来", "entities": [{"start": 0, "end": 2, "label": "人"}]}, {"text": "好", "entities": []}]
    assert read_entities(with_files(job).train_file) == wanted
    with pytest.raises(ValueError, match=r"as many tags, by their names, as tokens, 2, got \[1, 2\]"):
        job.lines_of_row({"tokens": ["a", "b"], "ner_tags": [1, 2]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "train_file must be given, or a dataset, got neither"),
        ({"train_file": "a"}, "validation_file must be given, or a dataset, got neither"),
        ({"train_file": "a", "dataset": "b"}, "give either train_file or dataset, got both"),
        (
            {"validation_file": "a", "dataset": "b", "validation_split": "c"},
            "give either validation_file or validation_split, got both",
        ),
        ({"train_file": "a", "validation_file": "b", "test_split": "c"}, "test_split goes with a dataset, got c"),
        ({"train_file": "a", "validation_file": "b", "streaming": True}, "streaming goes with a dataset, got True"),
        (
            {"train_file": "a", "validation_file": "b", "columns": {"text": "t"}},
            "columns go with a dataset or files of",
        ),
    ],
)
def test_what_has_no_effect_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        with_files(ClassificationJob(config="tiny", **given))


def test_the_commands_train_and_evaluate(tmp_path):
    rows = [{"review": f"{word}{i}", "stars": kind} for i in range(6) for kind, word in enumerate(("坏的", "好的"))]
    features = Features({"review": Value("string"), "stars": ClassLabel(names=["差", "优"])})
    Dataset.from_list(rows, features=features).to_parquet(str(tmp_path / "reviews.parquet"))
    columns = ["--column", "text=review", "--column", "label=stars"]
    words = ["--dataset", tmp_path / "reviews.parquet", "--train-split", "train[:8]", *columns, "--config", "tiny"]
    words += ["--validation-split", "train[8:10]", "--test-split", "train[10:]", "--max-steps", 1, "--use-cpu"]
    words += ["--eval-strategy", "no", "--save-strategy", "no", "--load-best-model-at-end", "False"]
    folder = tmp_path / "model"
    result = CliRunner().invoke(app, ["train", "classification", *map(str, words), "--output-dir", str(folder)])
    assert result.exit_code == 0, result.output
    assert "reviews.parquet (train[8:10])" in re.sub(r"\s+", " ", result.output)
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert set(scores["per_type"]) == {"差", "优"}
    words = [folder, "--dataset", tmp_path / "reviews.parquet", "--split", "train[10:]", *columns, "--use-cpu"]
    output = tmp_path / "scores.json"
    report = tmp_path / "new" / "report"
    files = ["--output", str(output), "--report", str(report)]
    result = CliRunner().invoke(app, ["evaluate", *map(str, words), *files])
    assert result.exit_code == 0, result.output
    assert json.loads(output.read_text(encoding="utf-8")) == scores["test"]
    assert str(report / "report.html") in result.stderr
    about = json.loads((report / "report.json").read_text(encoding="utf-8"))["about"]
    assert about["file"] == "reviews.parquet (train[10:])"
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["about"] == about
    assert str(tmp_path) not in (folder / "README.md").read_text(encoding="utf-8").replace(str(folder), "")
    # In Python, with paths as strings and the arguments of a training, of which nothing but an evaluation comes.
    job = job_of_model(str(folder))
    given = job.training_arguments(tmp_path / "arguments", push_to_hub=True, use_cpu=True)
    with pytest.raises(ValueError, match="must have 'label' or 'labels'"):
        job.evaluate(str(tmp_path / "reviews.parquet"), given)
    lines = [json.dumps({"text": row["review"], "label": features["stars"].names[row["stars"]]}) for row in rows]
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines[10:]), encoding="utf-8")
    assert job.evaluate(str(tmp_path / "reviews.jsonl"), given, str(tmp_path / "again")) == scores["test"]
    assert (tmp_path / "again" / "report.html").is_file()
