"""FewCLUE's tasks with few examples, as clozes or fine-tuned: train, predict, pack, validate, report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hf_ext.data.text_lines import FileLine, fail
from hf_ext.suites.clue.rows import keywords_and_abstracts, marked_texts
from hf_ext.suites.fewclue.published import PUBLISHED
from hf_ext.suites.files import json_rows, text_field, with_label
from hf_ext.suites.suite import Reader, Suite, SuiteTask
from hf_ext.tasks.cloze.pattern import ClozePattern

_SPLITS = ("0", "1", "2", "3", "4")
_FILES = {
    "train": "train_{split}.json",
    "validation": "dev_{split}.json",
    "test_public": "test_public.json",
    "test": "test.json",
}
# Adam at a constant rate, in batches of 16 for 20 epochs.
_PET: Mapping[str, Any] = {
    "learning_rate": 1e-5,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 0.0,
    "per_device_train_batch_size": 16,
    "num_train_epochs": 20,
}
# The rate of the benchmark's own fine-tuning; its three epochs are three steps of 32 examples.
_FINETUNING: Mapping[str, Any] = {"learning_rate": 2e-5, "metric_for_best_model": "accuracy"}
# Nothing is learnt.
_ZERO_SHOT: Mapping[str, Any] = {"num_train_epochs": 0}


def _text(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    return with_label({"text": text_field(record, where, "sentence", "content")}, record)


def _pair(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    texts = {"text": text_field(record, where, "sentence1"), "text2": text_field(record, where, "sentence2")}
    return with_label(texts, record)


def _fields(*names: str) -> Any:
    def fields_of(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
        for name in names:
            if name not in record:
                fail(where, f"a row must have {name}", sorted(record))
        return with_label({name: record[name] for name in names}, record)

    return fields_of


def _idiom(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    example: dict[str, Any] = _fields("content", "candidates")(record, where)
    return {**example, "answer": record["answer"]} if "answer" in record else example


def _choice(record: Mapping[str, Any], where: FileLine) -> dict[str, Any]:
    example = _idiom(record, where)
    choice = {"text": example["content"], "blank": "#idiom#", "choices": example["candidates"]}
    return {**choice, "label": example["answer"]} if "answer" in example else choice


def _line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": prediction["id"], "label": str(prediction["label"])}


def _idiom_line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": prediction["id"], "answer": int(prediction["label"])}


def _task(
    name: str, make: Any, train: int, public: int, test: int, file: str, plain: Reader | None = None, **more: Any
) -> SuiteTask:
    """A task with its counts, the file of its submission, and rows as they are read without a pattern."""
    pattern = f"fewclue/{name}"
    max_length = more.pop("max_length", 128)
    validation = more.pop("validation", train)
    parts = {"train": train, "validation": validation}
    settings = {name: more.pop(name) for name in (*_PET,) if name in more}
    candidates = ClozePattern.load(pattern).candidates is not None
    task = SuiteTask(
        name=name,
        job="cloze",
        files=_FILES,
        read=json_rows(make),
        labels=() if candidates else ClozePattern.load(pattern).labels,
        options={"pattern": pattern, "max_length": max_length},
        presets={"official": {**_PET, **settings}, "zero-shot": _ZERO_SHOT},
        apart=("soft_tokens",),
        counts={
            **{f"{part}_{split}": number for part, number in parts.items() for split in _SPLITS},
            "test_public": public,
            "test": test,
        },
        unlabelled={"label": "0", "answer": 0} if candidates else {},
        scored="test_public",
        submissions={"test": f"{file}_predict.json"},
        submission="answer" if candidates else "label",
        submission_line=_idiom_line if candidates else _line,
        **more,
    )
    finetuned = replace(
        task,
        job="multiple-choice" if candidates else "classification",
        read=plain or task.read,
        options={"max_length": max_length, **_PET, **settings, **_FINETUNING},
        presets={},
        unlabelled={"label": 0} if candidates else {},
    )
    return replace(task, otherwise={"finetuning": finetuned})


SUITE = Suite(
    "fewclue",
    tasks=(
        _task("eprstmt", _text, 32, 610, 753, "eprstmt"),
        _task("csldcp", _text, 536, 1_784, 2_999, "csldcp"),
        _task("tnews", _text, 240, 2_010, 1_500, "tnewsf", num_train_epochs=5),
        _task("iflytek", _text, 928, 1_749, 2_600, "iflytekf", validation=690, num_train_epochs=6),
        _task("ocnli", _pair, 32, 2_520, 3_000, "ocnlif", max_length=256, learning_rate=3e-5, no_label=("-",)),
        _task("bustm", _pair, 32, 1_772, 2_000, "bustm", learning_rate=3e-5),
        _task("csl", _fields("keyword", "abst"), 32, 2_838, 3_000, "cslf", keywords_and_abstracts, max_length=256),
        _task("chid", _idiom, 42, 2_002, 2_000, "chidf", json_rows(_choice)),
        _task(
            "cluewsc",
            _fields("target", "text"),
            32,
            976,
            290,
            "cluewscf",
            marked_texts,
            max_length=256,
            learning_rate=3e-5,
            per_device_train_batch_size=8,
            folders=("wsc",),
        ),
    ),
    published=PUBLISHED,
    splits=_SPLITS,
    more_splits=("few_all",),
    averages={"all": ("eprstmt", "csldcp", "tnews", "iflytek", "ocnli", "bustm", "csl", "chid", "cluewsc")},
)
