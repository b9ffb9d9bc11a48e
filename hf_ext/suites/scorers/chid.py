"""CHID: which idioms the blanks of a line get, each by itself or all together, and how many are right."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_ext.extras import extra


def chid_answers(logits: Any, lines: Sequence[int], decoding: str = "assignment") -> list[int]:
    """The idiom of each blank, as the number of a candidate.

    No idiom answers two blanks of a line, which two of the ways make use of. Blanks belong together by the number of
    their line: two lines may have the same candidates.

    Args:
        logits: ``[N, C]``, finite, of N blanks and their C candidates.
        lines: the line that each blank is in, in any order.
        decoding: ``"argmax"``, each blank its best candidate; ``"greedy"``, as CLUE's code: the greatest logit of the
            line is taken, its blank and idiom are struck, and so on; ``"assignment"``, as the code of article 8739: the
            different idioms with the greatest sum.

    Returns:
        For each blank a number in 0..C-1. Blanks of a line that has more of them than candidates, and that get none,
        have their best candidate; CLUE's code gives them no answer, at which its scorer stops, and the article's gives
        the answers of others.

    Raises:
        ValueError: if there is no such decoding, or a shape or a logit is wrong.
        MissingExtraError: for ``"assignment"``, if scipy is not installed.
    """
    if decoding not in DECODINGS:
        raise ValueError(f"decoding must be one of {', '.join(DECODINGS)}, got {decoding!r}")
    scores = np.asarray(logits, dtype=np.float64)
    numbers = np.asarray(lines, dtype=np.int64)
    if scores.ndim != 2 or numbers.shape != scores.shape[:1] or (len(scores) and not scores.shape[1]):
        shapes = f"{list(scores.shape)} and {list(numbers.shape)}"
        raise ValueError(f"logits must be [N, C] and lines [N], C at least 1, got {shapes}")
    if not np.isfinite(scores).all():
        raise ValueError(f"logits must be finite, got {scores[~np.isfinite(scores)][0]}")
    answers = scores.argmax(1) if scores.size else np.zeros(0, dtype=np.int64)
    for line in np.unique(numbers):
        places = np.flatnonzero(numbers == line)
        blanks, idioms = DECODINGS[decoding](scores[places])
        answers[places[blanks]] = idioms
    return [int(answer) for answer in answers]


def chid_accuracy(predictions: Mapping[str, int], answers: Mapping[str, int]) -> dict[str, Any]:
    """The part of the blanks whose idiom is right.

    Args:
        predictions: the number of a candidate for each tag, ``{"#idiom000123#": 3}``; tags beside those of ``answers``
            do not matter.
        answers: the true ones, as in CHID's files of answers.

    Returns:
        ``accuracy`` in [0, 1] over the ``total`` tags of ``answers``.

    Raises:
        ValueError: if a tag has no prediction, at which the official script stops too; if a prediction is not an
            integer, which the official script silently counts as wrong; if there are no answers.
    """
    if not answers:
        raise ValueError("answers must have one tag or more, got none")
    missing = [tag for tag in answers if tag not in predictions]
    if missing:
        raise ValueError(f"predictions must have every tag of the answers, {len(missing)} are missing: {missing[0]}")
    wrong = next((tag for tag in answers if type(predictions[tag]) is not int), None)
    if wrong is not None:
        raise ValueError(f"predictions must be the integers of candidates, got {predictions[wrong]!r} for {wrong}")
    right = sum(predictions[tag] == answer for tag, answer in answers.items())
    return {"accuracy": right / len(answers), "total": len(answers)}


_Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def _none(scores: NDArray[np.float64]) -> _Pairs:
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


def _greedy(scores: NDArray[np.float64]) -> _Pairs:
    # By idioms and then blanks, which is how CLUE's code breaks ties.
    order = np.argsort(-scores.T.ravel(), kind="stable")
    pairs: dict[int, int] = {}
    for place in order:
        idiom, blank = divmod(int(place), len(scores))
        if blank not in pairs and idiom not in pairs.values():
            pairs[blank] = idiom
    return np.array(list(pairs), dtype=np.int64), np.array(list(pairs.values()), dtype=np.int64)


def _assignment(scores: NDArray[np.float64]) -> _Pairs:
    with extra("analysis", "the assignment of idioms to blanks"):
        from scipy.optimize import linear_sum_assignment

    blanks, idioms = linear_sum_assignment(-scores)
    return blanks, idioms


DECODINGS: Mapping[str, Callable[[NDArray[np.float64]], _Pairs]] = {
    "argmax": _none,
    "greedy": _greedy,
    "assignment": _assignment,
}
"""The ways to give idioms to the blanks of a line, and what finds the blanks that do not just have their best one."""
