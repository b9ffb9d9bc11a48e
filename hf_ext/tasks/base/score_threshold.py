"""The least score of what a model finds: given, or the best on the validation file; saved with the model."""

from collections.abc import Callable
from typing import Any

from hf_ext.tasks.base.option import option

BEST = "best"
CANDIDATES = (0.02, 0.05, *(round(0.1 * step, 1) for step in range(1, 10)), 0.95, 0.98)
"""The thresholds that are tried where each takes decoding anew."""


def threshold_option(usual: float = 0.5) -> Any:
    """The field ``threshold`` of a job, whose head has a usual one."""
    return option(
        "Least score of what is found, in [0, 1), or best: that of the best F1 on the validation file. Saved with the "
        f"model; else the model's, or {usual}.",
        None,
        group="Scores",
        kw_only=True,
    )


def given_threshold(threshold: str | float | None) -> float | None:
    """The number that is given; None where there is none, or the best is to be chosen.

    Raises:
        ValueError: if it is another word, or outside [0, 1).
    """
    if threshold is None or threshold == BEST:
        return None
    try:
        number = float(threshold)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise ValueError(f"threshold must be in [0, 1) or {BEST}, got {threshold}")
    return number


def best_threshold(f1_at: Callable[[float], float]) -> float:
    """Of `CANDIDATES`, from the least, the one with the best F1; of equal ones, the nearest to 0.5."""
    scores = {threshold: f1_at(threshold) for threshold in CANDIDATES}
    return max(scores, key=lambda threshold: (scores[threshold], -abs(threshold - 0.5)))
