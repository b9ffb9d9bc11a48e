import json

import pytest
from transformers import AutoModel, TrainingArguments, pipeline
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.reading_comprehension import ReadingComprehensionJob
from hf_ext.tasks.reading_comprehension.head import ANSWER_HEADS

CONTEXT = "林一舟写了长河，何远写了春江。"
ROWS = [
    {"id": "a", "question": "谁写了长河？", "context": CONTEXT, "answers": [{"text": "林一舟", "start": 0}]},
    {"id": "b", "question": "谁写了春江？", "context": CONTEXT, "answers": [{"text": "何远", "start": 8}]},
]
NONE = {"id": "c", "question": "谁写了山海？", "context": CONTEXT, "answers": []}
FILES = ("scores.json", "curves.png", "predictions.json", "nbest_predictions.json", "config.json", "tokenizer.json")


def write(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def arguments(folder, **options):
    settings = {"max_steps": 60, "learning_rate": 2e-3, "save_strategy": "no", "report_to": "none", "use_cpu": True}
    return TrainingArguments(str(folder), disable_tqdm=True, dataloader_pin_memory=False, **(settings | options))


@pytest.mark.slow
@pytest.mark.parametrize("head", ANSWER_HEADS)
@pytest.mark.parametrize("none", [False, True], ids=["answers", "some without"])
def test_what_is_learnt_is_written_and_answered(head, none, tmp_path):
    rows = [*ROWS, NONE] if none else ROWS
    file = write(tmp_path / "rows.jsonl", rows)
    options = {"max_length": 22, "stride": 4, "max_question_length": 6, "head": head}
    job = ReadingComprehensionJob(file, file, config="tiny", **options)
    folder = tmp_path / "model"
    scores = job.run(arguments(folder))
    assert (scores["exact_match"], scores["f1"], scores["total"]) == (1.0, 1.0, len(rows))
    assert ("no_answer_accuracy" in scores) == none
    assert all((folder / name).is_file() for name in FILES)
    assert json.loads((folder / "scores.json").read_text(encoding="utf-8")) == scores
    answers = {"a": "林一舟", "b": "何远"} | ({"c": ""} if none else {})
    assert json.loads((folder / "predictions.json").read_text(encoding="utf-8")) == answers
    ranked = json.loads((folder / "nbest_predictions.json").read_text(encoding="utf-8"))
    assert {name: own[0]["text"] for name, own in ranked.items()} == answers
    assert any(one["text"] == "" for one in ranked["a"]) == none
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForReadingComprehension"]
    assert config["null_threshold"] == (0.0 if none else None)
    answer = pipeline("reading-comprehension", model=str(folder))
    # In the job's windows, whose length alone is saved.
    windows = {"doc_stride": options["stride"], "max_question_len": options["max_question_length"]}
    found = {row["id"]: answer(question=row["question"], context=CONTEXT, **windows)["answer"] for row in rows}
    assert found == answers
    again = ReadingComprehensionJob(file, file, model=str(folder), **options)
    assert again.run(arguments(tmp_path / "again", max_steps=1, learning_rate=0.0)) == scores
    AutoModel.from_pretrained(folder)


def test_a_model_as_the_baselines_train_it(tmp_path):
    """Drawn answers, one window, scores that rank, and always an answer, which an evaluation then does too."""
    rows = [{**row, "answers": [*row["answers"], {"text": "写了", "start": -1}]} for row in ROWS]
    file = write(tmp_path / "rows.jsonl", [*rows, NONE])
    options = {"max_length": 22, "windows": False, "draw_answers": True, "null_threshold": "never"}
    head = {"head": "pointer_table", "ranking": "score"}
    job = ReadingComprehensionJob(file, file, config="tiny", **options, **head)
    folder = tmp_path / "model"
    scores = job.run(arguments(folder, max_steps=2))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    fields = ("answer_head", "answer_ranking", "null_threshold")
    assert [config[name] for name in fields] == ["pointer_table", "score", None]
    assert all(json.loads((folder / "predictions.json").read_text(encoding="utf-8")).values())
    assert 0 <= scores["span_accuracy"] <= 1
    trained = job_of_model(str(folder))
    assert (trained.windows, trained.window_step) == (False, None)
    assert trained.evaluate(file, arguments(tmp_path / "evaluation")) == scores


def test_command(tmp_path):
    file = write(tmp_path / "rows.jsonl", [*ROWS, NONE])
    words = ["train", "reading-comprehension", "--train-file", str(file), "--validation-file", str(file)]
    words += ["--output-dir", str(tmp_path / "model"), "--config", "tiny", "--head", "start_end", "--max-length", "40"]
    words += ["--null-threshold", "-2.5", "--n-best", "3", "--max-answer-tokens", "5", "--max-steps", "1", "--use-cpu"]
    words += ["--save-strategy", "no", "--eval-strategy", "no", "--load-best-model-at-end", "false"]
    done = CliRunner().invoke(app, [*words, "--disable-tqdm", "true"])
    assert done.exit_code == 0, done.output
    assert "without" in done.output
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    fields = ("answer_head", "null_threshold", "answer_top_k", "max_answer_tokens")
    assert [config[name] for name in fields] == ["start_end", -2.5, 3, 5]
    ranked = json.loads((tmp_path / "model" / "nbest_predictions.json").read_text(encoding="utf-8"))
    assert {len(own) for own in ranked.values()} == {4}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "train_file must have questions, got none"),
        ([NONE], {}, "train_file must have an answer that is in its text, got none"),
        (ROWS, {"max_length": 4}, "max_length must have room for 3 special tokens"),
        (ROWS, {"head": "crf"}, "answer_head must be one of"),
        (ROWS, {"config": None}, "give either model"),
    ],
)
def test_what_cannot_be_trained_is_refused(rows, options, message, tmp_path):
    file = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(ValueError, match=message):
        ReadingComprehensionJob(file, file, **({"config": "tiny"} | options)).run(arguments(tmp_path / "model"))


def test_the_best_threshold_is_chosen_and_saved(tmp_path):
    file = write(tmp_path / "rows.jsonl", [*ROWS, NONE])
    options = {"config": "tiny", "max_length": 22, "stride": 4, "max_question_length": 6}
    job = ReadingComprehensionJob(file, file, null_threshold="best", **options)
    scores = job.run(arguments(tmp_path / "model", max_steps=5))
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["null_threshold"] == scores["null_threshold"]
    # Whoever answers nothing has a third of the questions right.
    assert scores["f1"] >= 1 / 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("best", "null_threshold best needs questions without an answer, got none in"),
        ("worst", "null_threshold must be a number, best or never, got 'worst'"),
    ],
)
def test_a_threshold_without_effect_is_refused(value, message, tmp_path):
    file = write(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(ValueError, match=message):
        ReadingComprehensionJob(file, file, config="tiny", null_threshold=value).read()
