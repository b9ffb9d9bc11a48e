import pytest
from transformers import TrainingArguments, pipeline

import hf_ext
from hf_ext.training.event_extraction import EventExtractionJob
from hf_ext.training.relation_extraction import RelationExtractionJob

RELATIONS = '{"text": "甲写乙", "spo_list": [{"subject": "乙", "predicate": "作者", "object": "甲"}]}\n'
EVENTS = (
    '{"text": "甲裁员", "event_list": [{"event_type": "裁", "trigger": "裁员", "trigger_start_index": 1, '
    '"arguments": [{"role": "方", "argument": "甲", "argument_start_index": 0}]}]}\n'
)
CASES = {
    "relation-extraction": (RelationExtractionJob, RELATIONS, "甲写乙", hf_ext.RelationExtractionPipeline),
    "event-extraction": (EventExtractionJob, EVENTS, "甲裁员", hf_ext.EventExtractionPipeline),
}


@pytest.fixture(scope="module", params=CASES)
def trained(request, tmp_path_factory):
    job, line, text, kind = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "train.json").write_text(line * 8, encoding="utf-8")
    options = {"max_steps": 60, "learning_rate": 5e-3, "report_to": "none", "use_cpu": True, "disable_tqdm": True}
    one = job(folder / "train.json", folder / "train.json", config="tiny", max_length=32, stride=4)
    scores = one.run(TrainingArguments(str(folder / "model"), dataloader_pin_memory=False, **options))
    return request.param, folder, text, kind, scores


def found(task, result):
    if task == "relation-extraction":
        return {(one["subject"]["start"], one["predicate"], one["object"]["start"]) for one in result}
    return {tuple((one["role"], one["start"]) for one in event["arguments"]) for event in result}


def test_what_is_learnt_is_found_alone_in_a_batch_and_in_a_long_text(trained):
    task, folder, text, kind, scores = trained
    assert scores["f1"] == 1.0
    assert (folder / "model" / "scores.json").is_file()
    extract = pipeline(task, model=str(folder / "model"))
    assert isinstance(extract, kind)
    want = {(2, "作者", 0)} if task == "relation-extraction" else {(("方", 0), ("触发词", 1))}
    assert found(task, extract(text)) == want
    assert want <= found(task, next(iter(extract([text, text + "。" * 60], batch_size=2))))
    assert extract([]) == []
    assert all(one["score"] > 0.5 for one in extract(text))
    assert extract(text, threshold=1 - 1e-15) == []


def test_another_head_and_other_labels_are_refused(trained):
    task, folder, _, _, _ = trained
    other = next(name for name in CASES if name != task)
    job, line, _, _ = CASES[task]
    extract = pipeline(task, model=str(folder / "model"))
    with pytest.raises(ValueError, match="model must be one of"):
        CASES[other][3](model=extract.model, tokenizer=extract.tokenizer)
    (folder / "other.json").write_text(line.replace("作者", "编者").replace("方", "者"), encoding="utf-8")
    with pytest.raises(ValueError, match="model has a head for"):
        job(folder / "other.json", folder / "other.json", model=str(folder / "model"), max_length=32).run(
            TrainingArguments(str(folder / "again"), report_to="none", use_cpu=True)
        )
