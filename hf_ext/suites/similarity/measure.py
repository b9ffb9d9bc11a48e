"""Scores of sentence vectors on all parts of a task, as they are or whitened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import pipeline

from hf_ext.suites.measure import Measure
from hf_ext.suites.similarity.protocol import WHITEN_ON, score_pairs
from hf_ext.tasks.base.option import option
from hf_ext.tasks.similarity.trainer import METRIC
from hf_ext.training.quiet import quiet_libraries

_GROUP = "Whitening"


@dataclass
class PairMeasure(Measure):
    """Spearman's rank correlation of cosines and scores on each part, their mean, and their mean by size."""

    whiten_on: str | None = option(
        "Whiten the vectors: fitted to the texts of training, or of all parts, those to be scored too, as the articles "
        "do; else they stay as they are.",
        None,
        group=_GROUP,
        choices=WHITEN_ON,
    )
    whitened_size: int | None = option(
        "Numbers of a whitened vector; else all in which vectors vary. The articles keep 256 of base models, 384 of "
        "large and 128 of smaller ones.",
        None,
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        if self.whiten_on is not None and self.whiten_on not in WHITEN_ON:
            raise ValueError(f"whiten_on must be one of {', '.join(WHITEN_ON)}, got {self.whiten_on!r}")
        if self.whitened_size is not None and self.whiten_on is None:
            raise ValueError(f"whitened_size goes with whiten_on, got {self.whitened_size} without it")

    def scores(
        self, model: str, examples: Mapping[str, Sequence[Mapping[str, Any]]], settings: Mapping[str, Any], device: Any
    ) -> dict[str, Any]:
        """The correlations, each in [-1, 1] or NaN; those of all parts and the means stand beside that of the test."""
        # The library's types list its own tasks only.
        make_pipeline: Any = pipeline
        with quiet_libraries():
            embed = make_pipeline("text-embedding", model=model, tokenizer=settings.get("tokenizer"), device=device)
        options = {name: settings[name] for name in ("pooling", "max_length")}
        found = score_pairs(embed, examples, self.whiten_on, self.whitened_size, **options)
        return {METRIC: found["validation"], "test": {METRIC: found["test"], **found}}
