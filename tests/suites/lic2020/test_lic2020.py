"""LIC2020's tables: rows as the jobs read them, official scores of predictions, and submissions of their own."""

import json
import re

import pytest
from typer.testing import CliRunner

from hf_ext.suites import Training, check_suite, shipped_suites
from hf_ext.suites.files import read_part, schema_file, write_examples
from hf_ext.suites.packing import expected_files, labels_of_submission, submission_contents
from hf_ext.suites.prediction import write_predictions
from hf_ext.suites.submission import file_of_rows, pack, validate
from hf_ext.tasks.events import read_events
from hf_ext.tasks.reading_comprehension import read_questions
from hf_ext.tasks.relations import read_relations
from hf_ext_cli import app

SUITE = shipped_suites()["lic2020"]
TASKS = {task.name: task for task in SUITE.tasks}

SPO = {
    "predicate": "票房",
    "subject": "甲片",
    "subject_type": "影视作品",
    "object": {"@value": "10亿", "inArea": "中国"},
    "object_type": {"@value": "Number", "inArea": "地点"},
}
LOST = {**SPO, "subject": "乙片"}
DUIE = {"text": "甲片在中国票房10亿", "spo_list": [SPO, LOST]}
ARGUMENT = {"role": "发布方", "argument": "某公司", "argument_start_index": 0, "alias": ["某某公司"]}
EVENT = {
    "event_type": "产品行为-发布",
    "trigger": "发布",
    "trigger_start_index": 3,
    "arguments": [ARGUMENT],
    "class": "产品行为",
}
DUEE = {"text": "某公司发布手机", "id": "a1", "event_list": [EVENT]}


def questions(*asked):
    paragraphs = [
        {"context": context, "qas": [{"question": question, "id": name, "answers": answers}]}
        for name, question, context, answers in asked
    ]
    return {"data": [{"title": "", "paragraphs": paragraphs}]}


def answers(*texts):
    return [{"text": text, "answer_start": -1} for text in texts]


ASKED = questions(
    ("q1", "谁在这里？", "甲在这里。", answers("甲", "甲某")), ("q2", "在哪里？", "甲在这里。", answers("这里"))
)


def write(folder, task, name, *records):
    path = folder / task / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8")
    return path


def rows_of(folder, task, part="train"):
    return read_part(folder, TASKS[task], part)


def test_questions_have_all_their_answers_at_their_places(tmp_path):
    write(tmp_path, "dureader_robust", "train.json", ASKED)
    first, _ = rows_of(tmp_path, "dureader_robust")
    assert first.id == "q1"
    assert first.example == {
        "id": "q1",
        "question": "谁在这里？",
        "context": "甲在这里。",
        "answers": [{"text": "甲", "start": 0}, {"text": "甲某", "start": -1}],
    }


@pytest.mark.parametrize("none", [[], answers(""), None])
def test_questions_of_a_test_file_have_no_answers(tmp_path, none):
    record = questions(("q1", "谁？", "甲在。", none), ("q2", "谁？", "乙在。", none))
    if none is None:
        for paragraph in record["data"][0]["paragraphs"]:
            del paragraph["qas"][0]["answers"]
    write(tmp_path, "dureader_robust", "test1.json", record)
    assert [row.example for row in rows_of(tmp_path, "dureader_robust", "test")] == [
        {"id": "q1", "question": "谁？", "context": "甲在。"},
        {"id": "q2", "question": "谁？", "context": "乙在。"},
    ]
    write(tmp_path, "dureader_robust", "train.json", record)
    with pytest.raises(ValueError, match="a row to train on or to score must have answers, and no placeholder"):
        rows_of(tmp_path, "dureader_robust")


def test_relations_keep_what_is_not_in_their_text_for_the_score(tmp_path):
    write(tmp_path, "DuIE2.0", "duie_train.json", DUIE, {"text": "无", "spo_list": []})
    first, second = rows_of(tmp_path, "duie")
    assert (first.id, second.id) == (0, 1)
    assert first.example["spo_list"] == [SPO, LOST]
    (relation,) = first.example["relations"]
    assert (relation["subject"]["text"], relation["object"]["text"]) == ("甲片", "10亿")
    assert [slot["text"] for slot in relation["slots"]] == ["中国"]
    assert second.example == {"text": "无", "relations": [], "spo_list": []}
    write_examples([first, second], tmp_path / "examples.jsonl")
    assert read_relations(tmp_path / "examples.jsonl")[0]["relations"] == [relation]
    write(tmp_path, "DuIE2.0", "duie_test2.json", {"text": "甲"})
    assert [row.example for row in rows_of(tmp_path, "duie", "test")] == [{"text": "甲"}]


def test_events_keep_aliases_for_the_score(tmp_path):
    path = write(tmp_path, "duee", "train.json", DUEE, {"text": "无", "id": "a2"})
    first, second = rows_of(tmp_path, "duee")
    assert (first.id, second.id) == ("a1", "a2")
    assert first.example["event_list"] == [EVENT]
    assert [one["role"] for one in first.example["events"][0]["arguments"]] == ["触发词", "发布方"]
    assert second.example == {"id": "a2", "text": "无", "events": [], "event_list": []}
    write_examples([first, second], tmp_path / "examples.jsonl")
    assert [one["events"] for one in read_events(tmp_path / "examples.jsonl")] == [first.example["events"], []]
    write(tmp_path, "duee", "train.json", DUEE, {"text": "无", "id": 2})
    with pytest.raises(ValueError, match=re.escape(f"{path}:2: a row must have an id, a string, got '2'")):
        rows_of(tmp_path, "duee")


@pytest.mark.parametrize(
    ("task", "name", "record", "message"),
    [
        ("duie", "dev_data.json", {**DUIE, "spo_list": [{**SPO, "object": "10亿"}]}, "must be an object of slots"),
        ("duie", "dev_data.json", {"text": "甲", "relations": []}, "must have a list 'spo_list'"),
        ("duee", "dev.json", {"text": "甲", "id": "a", "events": []}, "events must be in 'event_list'"),
        (
            "duee",
            "dev.json",
            {**DUEE, "event_list": [{**EVENT, "arguments": [{**ARGUMENT, "alias": "甲"}]}]},
            "alias of an argument must be a list",
        ),
    ],
)
def test_rows_that_would_stop_their_scorer_after_training_are_refused_before(tmp_path, task, name, record, message):
    (tmp_path / task).mkdir()
    (tmp_path / task / name).write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{name}:1: .*{message}"):
        read_part(tmp_path, TASKS[task], "validation")


@pytest.mark.parametrize("with_schema", [True, False])
def test_checks_take_labels_from_the_official_file_of_them(tmp_path, with_schema):
    """Those that training lacks are known by it."""
    other = {**EVENT, "event_type": "产品行为-召回", "arguments": [{**ARGUMENT, "role": "召回方"}]}
    write(tmp_path, "duee", "train.json", DUEE)
    write(tmp_path, "duee", "dev.json", {**DUEE, "id": "a2", "event_list": [other]})
    if with_schema:
        roles = {"产品行为-发布": ["发布方"], "产品行为-召回": ["召回方"]}
        kinds = [
            {"event_type": kind, "role_list": [{"role": role} for role in own], "class": "产品行为", "id": kind}
            for kind, own in roles.items()
        ]
        write(tmp_path, "duee", "event_schema.json", *kinds)
    (found,) = check_suite(SUITE, tmp_path, tasks=["duee"])
    unreadable = [one.message for one in found.findings if one.kind == "unreadable"]
    assert ("召回" in "".join(unreadable)) is not with_schema


def prediction(row):
    """What a model would say that finds everything; of a question its first answer."""
    example = dict(row.example)
    found = {"answer": example["answers"][0]["text"]} if "answers" in example else example
    return {"id": row.id, **found}


@pytest.mark.parametrize(
    ("task", "name", "record", "expected"),
    [
        ("dureader_robust", "dev.json", ASKED, 1),
        # What is not in its text cannot be found: P 1, R 1/2.
        ("duie", "dev_data.json", DUIE, 2 / 3),
        ("duee", "dev.json", DUEE, 1),
    ],
)
def test_scores_are_those_of_the_official_scorers(tmp_path, task, name, record, expected):
    own = TASKS[task]
    write(tmp_path, task, name, record)
    rows = rows_of(tmp_path, task, "validation")
    scores = own.scorer([prediction(row) for row in rows], [row.example for row in rows])
    assert scores[own.metric] == pytest.approx(expected)
    assert own.score == own.metric


def test_rules_of_the_official_scorers_hold_for_predictions_of_jobs(tmp_path):
    """By hand: an alias of the argument, and one in the wrong role; 甲片 for 《甲片》; a run of two words of three."""
    spans = [
        {"role": "发布方", "text": "某某公司"},
        {"role": "时间", "text": "某公司"},
        {"role": "触发词", "text": "发布"},
    ]
    found = [{"id": "a1", "text": DUEE["text"], "events": [{"type": "产品行为-发布", "arguments": spans}]}]
    scores = TASKS["duee"].scorer(found, [DUEE])
    assert scores == {TASKS["duee"].metric: pytest.approx(2 / 3)}
    relation = {
        "predicate": "票房",
        "subject": {"text": "《甲片》"},
        "object": {"text": "10亿"},
        "slots": [{"name": "inArea", "text": "中国"}],
    }
    found = [{"id": 0, "text": DUIE["text"], "relations": [relation]}]
    assert TASKS["duie"].scorer(found, [{**DUIE, "spo_list": [SPO]}])[TASKS["duie"].metric] == 1
    example = {"id": "q", "answers": [{"text": "北京市", "start": 0}]}
    scores = TASKS["dureader_robust"].scorer([{"id": "q", "answer": "北京"}], [example])
    assert scores == {TASKS["dureader_robust"].metric: pytest.approx(4 / 5), "EM of DuReader-robust's script": 0}


def test_each_task_is_a_submission_of_its_own(tmp_path):
    data = tmp_path / "data"
    write(data, "duie", "test1_data.json", {"text": DUIE["text"]}, {"text": "无"})
    write(data, "duie", "schema.json", {"predicate": "票房", "subject_type": "a", "object_type": {"@value": "b"}})
    write(data, "duee", "test1.json", {"text": DUEE["text"], "id": "a1"})
    relation = {"predicate": "票房", "subject": {"text": "甲片"}, "object": {"text": "10亿"}, "slots": []}
    found = [
        {"id": 0, "text": DUIE["text"], "relations": [relation]},
        {"id": 1, "text": "无", "relations": []},
    ]
    folder = tmp_path / "best"
    write_predictions(folder / "duie" / "test.jsonl", found)
    write_predictions(folder / "duee" / "test.jsonl", [{"id": "a1", "text": DUEE["text"], "events": []}])
    message = "tasks must be one, as each of lic2020 has a submission of its own, got duie.json, duee.json"
    for call in (lambda: submission_contents(SUITE, folder), lambda: list(expected_files(SUITE, data))):
        with pytest.raises(ValueError, match=message):
            call()
    assert [name for name, _, _ in expected_files(SUITE, data, names=["duie.json"])] == ["duie.json"]
    contents = submission_contents(SUITE, folder, tasks=["duie"])
    assert contents == {
        "duie.json": [
            {
                "text": DUIE["text"],
                "spo_list": [{"subject": "甲片", "predicate": "票房", "object": {"@value": "10亿"}}],
            },
            {"text": "无", "spo_list": []},
        ]
    }
    ((name, task, rows),) = expected_files(SUITE, data, ["duie"])
    assert labels_of_submission(data, task) == ["票房"]
    file = file_of_rows(name, task.submission, rows, labels_of_submission(data, task), any_name=True)
    assert pack(contents, tmp_path / "duie.zip", [file]) == []
    contents["duie.json"][0]["spo_list"][0]["predicate"] = "主演"
    pack({"mine.json": contents["duie.json"]}, tmp_path / "mine.zip")
    (fault,) = validate(tmp_path / "mine.zip", [file], zip_name="mine.zip")
    assert "predicate must be one of 票房, got '主演'" in str(fault)
    ((_, task, rows),) = expected_files(SUITE, data, ["duee"])
    assert schema_file(data, task) is None
    assert labels_of_submission(data, task) == ()


def test_presets_are_the_articles_heads_and_pointers():
    heads = {task.name: {preset: task.settings(preset)["head"] for preset in task.all_presets} for task in SUITE.tasks}
    assert heads == {
        "dureader_robust": {"article": "start_end_row", "global_pointer": "global_pointer"},
        "duie": {"article": "half_pointer", "gplinker": "gplinker"},
        "duee": {"article": "crf", "gplinker": "gplinker"},
    }
    for task in SUITE.tasks:
        for preset in task.all_presets:
            settings = task.settings(preset)
            assert (settings["learning_rate"], settings["num_train_epochs"]) == (2e-5, 20)


def test_real_files_become_what_the_jobs_read_and_score_whole(shared, tmp_path):
    data = shared / "data"
    files = {
        "dureader_robust": (data / "clue" / "dureader_robust" / "dev_part.json", read_questions, 500),
        "duie": (data / "duie2_subset" / "train_part.json", read_relations, 3000),
        "duee": (data / "duee1" / "duee_dev.json", read_events, 1498),
    }
    for name, (path, read, count) in files.items():
        task = TASKS[name]
        rows = list(task.read([path]))
        assert len(rows) == count
        write_examples(rows, tmp_path / "rows.jsonl")
        assert len(read(tmp_path / "rows.jsonl")) == count
        scores = task.scorer([prediction(row) for row in rows], [row.example for row in rows])
        assert scores[task.metric] == pytest.approx(1, abs=2e-3)
    for name, folder in (("duie", "duie2_subset"), ("duee", "duee1")):
        assert schema_file(data, TASKS[name]) is None
        schema = next(path for path in (data / folder).iterdir() if path.name in TASKS[name].schema)
        (tmp_path / name).mkdir()
        (tmp_path / name / schema.name).write_bytes(schema.read_bytes())
        assert len(labels_of_submission(tmp_path, TASKS[name])) == {"duie": 55, "duee": 282}[name]


def run(*words):
    return CliRunner().invoke(app, ["lic2020", *map(str, words)])


@pytest.mark.slow
def test_article_and_gplinker_by_the_same_command(tmp_path, monkeypatch):
    """Train, predict, pack, validate and report both, whose runs share a folder."""
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    data, runs = tmp_path / "data", tmp_path / "runs"
    labels = [{"event_type": "产品行为-发布", "role_list": [{"role": "发布方"}, {"role": "时间"}]}]
    write(data, "duee", "event_schema.json", *labels)
    for name in ("train", "dev"):
        write(data, "duee", f"{name}.json", DUEE, {**DUEE, "id": "a2"})
    write(data, "duee", "test1.json", {"text": "某公司发布", "id": "b1"}, {"text": "某公司", "id": "b2"})
    options = {"config": "tiny", "max_steps": 1, "max_length": 16, "use_cpu": True, "disable_tqdm": True}
    for preset in ("article", "gplinker"):
        (own,) = Training(SUITE, data, runs, ["duee"], [1], preset=preset, options=options).run()
        assert (own.state, own.error) == ("finished", None)
        assert own.score(TASKS["duee"]) == own.official[TASKS["duee"].metric]
        config = json.loads((runs / "duee" / f"{preset}-seed-1" / "config.json").read_text(encoding="utf-8"))
        # The schema has a role that is nowhere in the files.
        assert any("时间" in label for label in config["id2label"].values())
    for words in (
        ("predict", data, runs, "--use-cpu"),
        ("pack", runs / "predictions" / "best", tmp_path / "duee.zip", "--tasks", "duee", "--data", data),
        ("validate", tmp_path / "duee.zip", data, "--tasks", "duee"),
        ("report", runs),
    ):
        result = run(*words)
        assert result.exit_code == 0, result.output
    for preset in ("article", "gplinker"):
        path = runs / "predictions" / f"{preset}-seed-1" / "duee" / "test.jsonl"
        assert [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()] == ["b1", "b2"]
    tasks = json.loads((runs / "report.json").read_text(encoding="utf-8"))["tasks"]
    assert list(tasks) == ["duee, article", "duee, gplinker"]
