"""Similarity without labels, by five tasks: vectors as they are, whitened, and after SimCSE."""

from collections.abc import Mapping
from typing import Any

from hf_ext.suites.similarity.measure import PairMeasure
from hf_ext.suites.similarity.published import PUBLISHED, TASKS
from hf_ext.suites.similarity.rows import pair_rows
from hf_ext.suites.similarity.settings import MAX_TEXTS, SIMCSE
from hf_ext.suites.suite import Suite, SuiteTask

_NOT_TRAINED: Mapping[str, Any] = {"num_train_epochs": 0}


def _task(name: str, max_length: int = 64, max_texts: int | None = MAX_TEXTS) -> SuiteTask:
    drawn = {} if max_texts is None else {"max_texts": max_texts}
    return SuiteTask(
        name=name,
        job="similarity",
        files={
            "train": f"{name}.train.data",
            "validation": f"{name}.valid.data",
            "test": f"{name}.test.data",
        },
        read=pair_rows,
        metric="Spearman's rank correlation",
        score="spearman",
        also={
            "validation": "validation",
            "train": "train",
            "mean of parts": "mean",
            "mean by pairs": "weighted_mean",
        },
        options={"max_length": max_length, "pooling": "mean"},
        presets={
            "plain": _NOT_TRAINED,
            "whitening": {**_NOT_TRAINED, "whiten_on": "train"},
            "simcse": {**SIMCSE, **drawn},
        },
        apart=("pooling", "whiten_on", "whitened_size", "texts_of"),
        measure=PairMeasure,
        scored="test",
    )


SUITE = Suite(
    "similarity-suite",
    tasks=(_task("ATEC"), _task("BQ"), _task("LCQMC"), _task("PAWSX", max_length=128, max_texts=None), _task("STS-B")),
    published=PUBLISHED,
    averages={"all": TASKS},
)
