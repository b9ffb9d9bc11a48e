"""Relations and events on the command line and in pipelines, from files to predictions."""

import json
import re
from itertools import chain

import pytest
from transformers import TrainingArguments, pipeline
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.tasks.events import EventExtractionPipeline
from hf_ext.tasks.events.job import EventExtractionJob
from hf_ext.tasks.relations import HalfPointerRelationJob, HalfPointerRelationPipeline, RelationExtractionPipeline
from hf_ext.tasks.relations.job import RelationExtractionJob

RELATIONS = '{"text": "甲写乙", "spo_list": [{"subject": "乙", "predicate": "作者", "object": "甲"}]}\n'
EVENTS = (
    '{"text": "甲裁员", "event_list": [{"event_type": "裁", "trigger": "裁员", "trigger_start_index": 1, '
    '"arguments": [{"role": "方", "argument": "甲", "argument_start_index": 0}]}]}\n'
)
RELATION_SCHEMA = '{"predicate": "作者", "subject_type": "书", "object_type": "人"}\n'
EVENT_SCHEMA = '{"event_type": "裁", "role_list": [{"role": "方"}, {"role": "时"}]}\n'
CASES = {
    "relation-extraction": (
        RelationExtractionJob,
        RELATIONS,
        "甲写乙",
        RelationExtractionPipeline,
    ),
    "event-extraction": (EventExtractionJob, EVENTS, "甲裁员", EventExtractionPipeline),
    "half-pointer-relation-extraction": (HalfPointerRelationJob, RELATIONS, "甲写乙", HalfPointerRelationPipeline),
}
COMMANDS = {
    "relation-extraction": ("relations", RELATION_SCHEMA, ["作者"]),
    "event-extraction": ("events", EVENT_SCHEMA, ["裁|方", "裁|时", "裁|触发词"]),
    "half-pointer-relation-extraction": ("relations", RELATION_SCHEMA, ["作者"]),
}
GPLINKER = ("--span-head-size", 32)
HEADS = {"half-pointer-relation-extraction": ("--head", "half_pointer")}


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture(scope="module", params=CASES)
def trained(request, tmp_path_factory):
    _, line, text, kind = CASES[request.param]
    command, schema, _ = COMMANDS[request.param]
    folder = tmp_path_factory.mktemp(command)
    (folder / "train.json").write_text(line * 8, encoding="utf-8")
    (folder / "schema.json").write_text(schema, encoding="utf-8")
    options = {
        "--train-file": folder / "train.json", "--validation-file": folder / "train.json",
        "--schema-file": folder / "schema.json", "--output-dir": folder / "model", "--config": "tiny",
        "--max-length": 32, "--stride": 4, "--max-steps": 40, "--learning-rate": 5e-3,
        "--eval-strategy": "no", "--save-strategy": "no", "--load-best-model-at-end": False, "--disable-tqdm": True,
    }  # fmt: skip
    head = HEADS.get(request.param, GPLINKER)
    result = run("train", command, *head, *chain(*options.items()), "--use-cpu")
    assert result.exit_code == 0, result.output
    assert "micro" in result.output
    assert f"saved to {folder / 'model'}"[:60] in result.output
    scores = json.loads((folder / "model" / "scores.json").read_text(encoding="utf-8"))
    return request.param, folder, text, kind, scores


def found(task, result):
    if task.endswith("relation-extraction"):
        return {(one["subject"]["start"], one["predicate"], one["object"]["start"]) for one in result}
    return {tuple((one["role"], one["start"]) for one in event["arguments"]) for event in result}


def test_what_is_learnt_is_found_alone_in_a_batch_and_in_a_long_text(trained):
    task, folder, text, kind, scores = trained
    assert scores["f1"] == 1.0
    assert (folder / "model" / "curves.png").is_file()
    extract = pipeline(task, model=str(folder / "model"))
    assert isinstance(extract, kind)
    assert sorted(extract.model.config.label2id) == COMMANDS[task][2]
    assert task in HEADS or extract.model.config.span_head_size == 32
    want = {(2, "作者", 0)} if task.endswith("relation-extraction") else {(("方", 0), ("触发词", 1))}
    assert found(task, extract(text)) == want
    assert want <= found(task, next(iter(extract([text, text + "。" * 60], batch_size=2))))
    assert extract([]) == []
    assert all(one["score"] > 0.5 for one in extract(text))
    assert extract(text, threshold=1 - 1e-15) == []


def test_another_head_and_other_labels_are_refused(trained):
    task, folder, _, _, _ = trained
    other = next(name for name in CASES if COMMANDS[name][0] != COMMANDS[task][0])
    job, line, _, _ = CASES[task]
    extract = pipeline(task, model=str(folder / "model"))
    with pytest.raises(ValueError, match="model must be one of"):
        CASES[other][3](model=extract.model, tokenizer=extract.tokenizer)
    (folder / "other.json").write_text(line.replace("作者", "编者").replace("方", "者"), encoding="utf-8")
    with pytest.raises(ValueError, match="model has a head for"):
        job(folder / "other.json", folder / "other.json", model=str(folder / "model"), max_length=32).run(
            TrainingArguments(str(folder / "again"), report_to="none", use_cpu=True)
        )


def test_predict_writes_what_the_pipeline_finds(trained, tmp_path):
    task, folder, text, _, _ = trained
    key, model = COMMANDS[task][0], folder / "model"
    texts = [text, text + "。" * 60, "。"]
    wanted = [{"text": one, key: found} for one, found in zip(texts, pipeline(task, model=str(model))(texts))]
    assert wanted[0][key]
    assert wanted[2][key] == []
    result = run("predict", model, *texts)
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in result.stdout.splitlines()] == close(wanted)
    output = tmp_path / "found.jsonl"
    result = run("predict", model, "--threshold", 1 - 1e-15, "--output", output, input="\n".join(texts))
    assert result.exit_code == 0, result.output
    lines = output.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"text": one, key: []} for one in texts]


def close(value):
    """The same, with numbers that need only be near."""
    if isinstance(value, dict):
        return {name: close(part) for name, part in value.items()}
    if isinstance(value, list):
        return [close(part) for part in value]
    return pytest.approx(value, rel=1e-5) if isinstance(value, float) else value


def test_predict_has_a_page_of_entities_alone(trained, tmp_path):
    task, folder, text, _, _ = trained
    page = tmp_path / "page.html"
    result = run("predict", folder / "model", text, "--html", page)
    assert f"html is a page of entities, and the model in {folder / 'model'} finds {COMMANDS[task][0]}" in str(
        result.exception
    )
    assert not page.exists()


def test_predict_knows_the_task_of_an_adapter_by_its_base(trained, tmp_path):
    import peft

    task, folder, text, _, _ = trained
    extract = pipeline(task, model=str(folder / "model"))
    settings = peft.LoraConfig(task_type="TOKEN_CLS", r=2, target_modules=["query"])
    peft.get_peft_model(extract.model, settings).save_pretrained(tmp_path)
    extract.tokenizer.save_pretrained(tmp_path)
    result = run("predict", tmp_path, text)
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)[COMMANDS[task][0]]


@pytest.mark.parametrize(("command", "line"), [("relations", RELATIONS), ("events", EVENTS)])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either model .* or config .*, got neither"),
        ({"--config": "enormous"}, "config must be a folder or one of the sizes"),
        ({"--config": "tiny", "--train-file": "missing.json"}, "missing.json"),
        ({"--config": "tiny", "--schema-file": "missing.json"}, "missing.json"),
        ({"--config": "tiny", "--max-length": 8, "--stride": 8}, "stride"),
    ],
)
def test_training_that_cannot_be_is_refused(command, line, given, message, tmp_path):
    (tmp_path / "train.json").write_text(line, encoding="utf-8")
    files = {"--train-file": tmp_path / "train.json", "--validation-file": tmp_path / "train.json"}
    result = run("train", command, *chain(*(files | {"--output-dir": tmp_path / "model"} | given).items()))
    assert result.exit_code != 0
    assert re.search(message, str(result.exception))
    assert not (tmp_path / "model" / "config.json").exists()
