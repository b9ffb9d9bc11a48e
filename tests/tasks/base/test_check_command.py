"""`hf-ext check` for every task: what it counts, how it ends, and which options it takes."""

import json

import pytest
from datasets import Dataset, DatasetDict
from jobs_tiny import JOBS
from typer.testing import CliRunner

from hf_ext.cli.app import app
from hf_ext.data.text_lines import TextFileError
from hf_ext.tasks.base.check import check_job_files
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.entities import SequenceLabelingJob, SpanExtractionJob


def run(task, *words):
    return CliRunner().invoke(app, ["check", task, *map(str, words)])


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", JOBS)
def test_every_job_tells_repetitions_and_leaks(name, tmp_path):
    """Of three examples the second again, two of them in the other file."""
    case = JOBS[name]
    # As many labels as the job wants; and of the scores of pairs more than one.
    rows = [case.row(number) for number in (0, 1, 2, 1)]
    for number, row in enumerate(rows):
        if "id" in row:
            row["id"] = str(number)
    train = write(tmp_path / "train.jsonl", rows)
    other = write(tmp_path / "validation.jsonl", rows[1:3])
    job = case.job(train, other, config="tiny", **case.options)
    found = check_job_files(job, {"validation": other})
    assert {file: number for file, (_, number) in found.files.items()} == {
        "train": 5 if name == "simcse" else 4,
        "validation": 2,
    }
    kinds = {(one.kind, one.file): one.number for one in found.findings}
    # SimCSE reads each distinct text alone, here five, and the other file's pairs are other inputs.
    if name != "simcse":
        assert kinds["duplicate", "train"] == 1
        assert kinds["leak", "validation"] == 2
    assert not {"conflict", "lost", "cut off", "windows", "unreadable"} & {kind for kind, _ in kinds}
    # As the training counts them.
    annotated = {"spans", "crf", "softmax", "relations", "events", "answers", "classes", "images", "many classes"}
    annotated |= {"cloze", "cloze labels", "half pointers", "tags of events", "linear classes", "choices", "blanks"}
    assert bool(found.labels) == (name in annotated)


@pytest.mark.parametrize("name", [name for name in JOBS if name != "images"])
def test_every_job_counts_what_is_too_long(name, tmp_path):
    case = JOBS[name]
    train = write(tmp_path / "train.jsonl", [case.row(number) for number in range(8)])
    limits = {"max_source_length": 4} if name == "summaries" else {"max_length": 9}
    options = {**case.options, **limits, **({"stride": 1} if "stride" in case.options else {})}
    job = case.job(train, train, config="tiny", **options)
    found = check_job_files(job, {})
    (long,) = [one for one in found.findings if one.kind in ("cut off", "windows")]
    assert long.kind == ("windows" if job.reads_windows else "cut off")
    tokenizer = job.load_tokenizer("".join(job.texts(case.row(number))) for number in range(8))
    files = job.read()
    ((lengths, limit),) = [own for own in job.token_counts(files.train, tokenizer).values() if max(own[0]) > own[1]]
    assert (long.number, long.of) == (sum(length > limit for length in lengths), len(files.train))
    assert next(iter(limits.values())) == limit


def test_a_text_has_as_many_tokens_as_it_is_trained_with(tmp_path):
    train = write(tmp_path / "train.jsonl", [{"text": "一二三", "text2": "四", "label": label} for label in "ab"])
    job = ClassificationJob(train, train, config="tiny", max_length=8)
    tokenizer = job.load_tokenizer(["一二三四"])
    assert job.token_counts(job.read().train, tokenizer) == {"max_length": ([7, 7], 8)}


def entity(start, end, label="人"):
    return {"start": start, "end": end, "label": label}


def test_spans_that_cannot_be_learnt(tmp_path):
    """One ends inside a word, one is longer than any window, and tags do not nest."""
    rows = [
        {"text": "hello 张三", "entities": [entity(0, 3), entity(6, 8)]},
        {"text": "字" * 30, "entities": [entity(0, 20)]},
        {"text": "北京大学", "entities": [entity(0, 4), entity(0, 2, "地")]},
    ]
    train = write(tmp_path / "train.jsonl", rows)
    lost = {}
    for kind in (SpanExtractionJob, SequenceLabelingJob):
        job = kind(train, train, config="tiny", max_length=12, stride=2)
        files = job.read()
        lost[kind] = list(job.count_lost(files.train, job.load_tokenizer([row["text"] for row in rows]), files.labels))
    assert lost[SpanExtractionJob][1:] == [1, 0]
    assert lost[SequenceLabelingJob][1:] == [1, 1]
    assert lost[SpanExtractionJob][0] == lost[SequenceLabelingJob][0]
    found = check_job_files(SpanExtractionJob(train, train, config="tiny", max_length=12, stride=2), {})
    assert [(one.number, one.of) for one in found.findings if one.kind == "lost"] == [(sum(lost[SpanExtractionJob]), 5)]


GOOD = [{"text": f"文{number}", "label": "ab"[number % 2]} for number in range(10)]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([{"text": "新", "label": "a"}, {"text": "旧", "label": "b"}], 0),
        # Nothing tells of b.
        ([{"text": "新", "label": "a"}], 0),
        ([GOOD[0], {"text": "旧", "label": "b"}], 3),
        ([{"text": "新", "label": "c"}], 4),
    ],
)
def test_status_and_json(rows, status, tmp_path):
    train, other = write(tmp_path / "train.jsonl", GOOD), write(tmp_path / "test.jsonl", rows)
    files = ("--train-file", train, "--test-file", other)
    done = run("classification", *files, "--json")
    assert done.exit_code == status
    said = json.loads(done.stdout)
    assert {0: (None, "note"), 3: ("warning",), 4: ("error",)}[status].count(said["severity"]) == 1
    assert said["files"]["train"] == {"path": str(train), "examples": 10}
    assert said["labels"]["a"]["train"] == 5
    shown = run("classification", *files)
    assert shown.exit_code == status
    assert "train: 10 in" in shown.stdout.replace("\n", "")
    for one in said["findings"]:
        assert f"{one['severity']}: {one['file']}: " in shown.stdout
    assert ("nothing suspicious" in shown.stdout) == (not said["findings"])


def test_a_data_set_and_its_tables_are_checked_as_files_are(tmp_path):
    rows = [{"review": row["text"], "stars": row["label"]} for row in GOOD]
    sets = DatasetDict(train=Dataset.from_list(rows), validation=Dataset.from_list([{"review": "新", "stars": "a"}]))
    sets.save_to_disk(str(tmp_path / "set"))
    sets["train"].to_parquet(str(tmp_path / "train.parquet"))
    columns = ("--column", "text=review", "--column", "label=stars", "--json")
    done = run("classification", "--dataset", tmp_path / "set", "--test-split", "train[:3]", *columns)
    said = json.loads(done.stdout)
    assert said["files"] == {
        "train": {"path": f"{tmp_path / 'set'} (train)", "examples": 10},
        "validation": {"path": f"{tmp_path / 'set'} (validation)", "examples": 1},
        "test": {"path": f"{tmp_path / 'set'} (train[:3])", "examples": 3},
    }
    assert ("leak", "test", 3) in [(one["kind"], one["file"], one["number"]) for one in said["findings"]]
    done = run("classification", "--train-file", tmp_path / "train.parquet", *columns)
    wanted = {"train": {"path": str(tmp_path / "train.parquet"), "examples": 10}}
    assert json.loads(done.stdout)["files"] == wanted
    assert "--train-file or --dataset" in run("classification", "--test-file", tmp_path / "train.parquet").output


def test_what_readers_warn_of_is_said_once(tmp_path, caplog):
    rows = [{"id": "1", "question": "谁来", "context": "张三来", "answers": [{"text": "张三", "start": 1}]}]
    train, other = write(tmp_path / "train.jsonl", rows), write(tmp_path / "valid.jsonl", rows)
    run("reading-comprehension", "--train-file", train, "--validation-file", other)
    said = [message for message in caplog.messages if "stand elsewhere than given" in message]
    assert len(said) == len({*said}) >= 1
    assert any(str(train) in message for message in said)


def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path):
    train, other = write(tmp_path / "train.jsonl", GOOD), tmp_path / "valid.jsonl"
    other.write_text('{"text": "好", "label": "a"}\n{"text": ""}\n', encoding="utf-8")
    done = run("classification", "--train-file", train, "--validation-file", other, "--json")
    assert done.exit_code == 4
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["kind"], finding["file"]) == ("unreadable", "validation")
    assert f"{other}:2" in finding["message"]
    # Without a training file that can be read there is nothing to check.
    failed = run("classification", "--train-file", other, "--test-file", train)
    assert (failed.exit_code, type(failed.exception)) == (1, TextFileError)


def test_options_of_a_training_are_taken_from_its_file_alone(tmp_path):
    train = write(tmp_path / "train.jsonl", GOOD)
    options = {
        "train-file": str(train),
        "max-length": 2,
        "learning-rate": 1e-3,
        "output-dir": "model",
        "config": "tiny",
        "adversarial": "fgm",
        "overwrite": True,
    }
    file = tmp_path / "job.json"
    file.write_text(json.dumps(options), encoding="utf-8")
    done = run("classification", file, "--json")
    assert [one["kind"] for one in json.loads(done.stdout)["findings"]] == ["cut off"]
    assert run("classification", file, "--learning-rate", "1").exit_code == 2
    assert run("classification", "--max-length", "8").exit_code == 2
    file.write_text(json.dumps(options | {"max-lenght": 3}), encoding="utf-8")
    done = run("classification", file)
    assert done.exit_code == 2
    assert "max-lenght" in done.output


def test_help_shows_options_that_have_an_effect():
    shown = run("ner", "--help").output
    assert "--test-file" in shown
    assert "--tag-scheme" in shown
    assert "--overwrite" not in shown
    assert "--learning-rate" not in shown
    assert "--adversarial" not in shown
