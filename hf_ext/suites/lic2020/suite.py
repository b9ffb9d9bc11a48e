"""LIC2020's tasks, DuReader-robust, DuIE 2.0 and DuEE 1.0: train, predict, pack, validate, report."""

from collections.abc import Mapping
from typing import Any

from hf_ext.suites.lic2020.published import PUBLISHED
from hf_ext.suites.lic2020.rows import event_rows, question_rows, relation_rows
from hf_ext.suites.lic2020.scores import (
    ANSWERS,
    ARGUMENTS,
    TRIPLES,
    answer_entry,
    answer_scores,
    argument_scores,
    events_line,
    relations_line,
    triple_scores,
)
from hf_ext.suites.suite import Suite, SuiteTask

# Adam at a constant rate, as all three baselines have it.
_ADAM: Mapping[str, Any] = {
    "learning_rate": 2e-5,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 0.0,
    "num_train_epochs": 20,
    "train_sampling_strategy": "random",
}
_RELATIONS = {**_ADAM, "per_device_train_batch_size": 16}
_EVENTS = {**_ADAM, "per_device_train_batch_size": 32}

SUITE = Suite(
    "lic2020",
    tasks=(
        SuiteTask(
            name="dureader_robust",
            job="reading-comprehension",
            files={
                "train": "train.json",
                "validation": "dev.json",
                "test": (("test1.json", "test2.json", "test.json"),),
            },
            read=question_rows,
            metric=ANSWERS,
            score=ANSWERS,
            apart=("head",),
            folders=("dureader_robust-data", "rc"),
            presets={
                # Two softmaxes over the row, which is all that is read of a text.
                "article": {
                    **_ADAM,
                    "per_device_train_batch_size": 32,
                    "head": "start_end_row",
                    "max_length": 256,
                    "windows": False,
                    "draw_answers": True,
                    "max_answer_tokens": 16,
                },
                "global_pointer": {
                    **_ADAM,
                    "per_device_train_batch_size": 32,
                    "head": "global_pointer",
                    "max_length": 256,
                    "draw_answers": True,
                },
            },
            counts={"train": 14_520, "validation": 1_417},
            unlabelled={"answers": []},
            scorer=answer_scores,
            submissions={"test": "dureader_robust.json"},
            submission="answers",
            submission_line=answer_entry,
        ),
        SuiteTask(
            name="duie",
            job="relations",
            # As the contest, the zips of later and others call them.
            files={
                "train": (("train_data.json", "duie_train.json", "train.json"),),
                "validation": (("dev_data.json", "duie_dev.json", "dev.json"),),
                "test": (
                    (
                        "test1_data.json",
                        "duie_test1.json",
                        "test1.json",
                        "test2_data.json",
                        "duie_test2.json",
                        "test2.json",
                    ),
                ),
            },
            schema=("schema.json", "duie_schema.json"),
            read=relation_rows,
            metric=TRIPLES,
            score=TRIPLES,
            also={"F1 of triples that are in their text": "f1"},
            apart=("head",),
            folders=("duie2.0", "ie"),
            options={"max_length": 256},
            presets={
                "article": {**_RELATIONS, "head": "half_pointer"},
                "gplinker": {**_RELATIONS, "head": "gplinker"},
            },
            unlabelled={"relations": [], "spo_list": []},
            scorer=triple_scores,
            submissions={"test": "duie.json"},
            submission="relations",
            submission_line=relations_line,
        ),
        SuiteTask(
            name="duee",
            job="events",
            files={
                "train": (("train.json", "duee_train.json"),),
                "validation": (("dev.json", "duee_dev.json"),),
                "test": (("test1.json", "duee_test1.json", "test2.json", "duee_test2.json", "test.json"),),
            },
            schema=("event_schema.json", "duee_event_schema.json"),
            read=event_rows,
            metric=ARGUMENTS,
            score=ARGUMENTS,
            also={"F1 of arguments at their places": "f1"},
            apart=("head",),
            folders=("duee1.0", "ee"),
            options={"max_length": 128},
            presets={
                "article": {**_EVENTS, "head": "crf", "arguments_by_string": True},
                "gplinker": {**_EVENTS, "head": "gplinker"},
            },
            counts={"train": 11_958, "validation": 1_498},
            unlabelled={"events": [], "event_list": []},
            scorer=argument_scores,
            submissions={"test": "duee.json"},
            submission="events",
            submission_line=events_line,
        ),
    ),
    published=PUBLISHED,
    one_submission=False,
)
