"""FewCLUE's tasks with few examples, as clozes: train, predict, pack, validate, report."""

from collections.abc import Mapping
from typing import Any

from hf_ext.data.text_lines import FileLine, fail
from hf_ext.suites.fewclue.published import PUBLISHED
from hf_ext.suites.files import json_rows, text_field, with_label
from hf_ext.suites.suite import Suite, SuiteTask
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


def _line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": prediction["id"], "label": str(prediction["label"])}


def _idiom_line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": prediction["id"], "answer": int(prediction["label"])}


def _task(name: str, make: Any, train: int, public: int, test: int, file: str, **more: Any) -> SuiteTask:
    """A task with its counts, and the file of its submission."""
    pattern = f"fewclue/{name}"
    max_length = more.pop("max_length", 128)
    validation = more.pop("validation", train)
    parts = {"train": train, "validation": validation}
    settings = {name: more.pop(name) for name in (*_PET,) if name in more}
    candidates = ClozePattern.load(pattern).candidates is not None
    return SuiteTask(
        name=name,
        job="cloze",
        files=_FILES,
        read=json_rows(make),
        labels=() if candidates else ClozePattern.load(pattern).labels,
        options={"pattern": pattern, "max_length": max_length},
        presets={"official": {**_PET, **settings}},
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


SUITE = Suite(
    "fewclue",
    tasks=(
        _task("eprstmt", _text, 32, 610, 753, "eprstmt"),
        _task("csldcp", _text, 536, 1_784, 2_999, "csldcp"),
        _task("tnews", _text, 240, 2_010, 1_500, "tnewsf", num_train_epochs=5),
        _task("iflytek", _text, 928, 1_749, 2_600, "iflytekf", validation=690, num_train_epochs=6),
        _task("ocnli", _pair, 32, 2_520, 3_000, "ocnlif", max_length=256, learning_rate=3e-5, no_label=("-",)),
        _task("bustm", _pair, 32, 1_772, 2_000, "bustm", learning_rate=3e-5),
        _task("csl", _fields("keyword", "abst"), 32, 2_838, 3_000, "cslf", max_length=256),
        _task("chid", _idiom, 42, 2_002, 2_000, "chidf"),
        _task(
            "cluewsc",
            _fields("target", "text"),
            32,
            976,
            290,
            "cluewscf",
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
