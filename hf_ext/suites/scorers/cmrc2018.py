"""CMRC2018: EM and F1 of its official script, and the stricter number that the original of article 8739 prints."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from hf_ext.tasks.reading_comprehension.metrics import reading_scores

# What CMRC2018's test file has in the place of answers.
_FAKE = re.compile(r"FAKE_ANSWER_\d+")


def cmrc2018_scores(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """EM and F1 as CMRC2018's script computes them, by `hf_ext.tasks.reading_comprehension.reading_scores`.

    Args:
        predictions: the answer to each question, by its id. A question without one scores 0 and is ``skipped``, but
            stays in the denominator; ids beside those of ``references`` do not matter.
        references: all true answers to each question, by its id.

    Returns:
        ``exact_match``, ``f1`` and their ``average``, in [0, 1] where the script prints percent, ``total`` and
        ``skipped``.

    Raises:
        ValueError: if there are no questions; if one has no true answer, at which the script stops too; if a true
            answer is a placeholder as ``FAKE_ANSWER_1``: the script scores against it.
    """
    for identifier, answers in references.items():
        if not answers:
            raise ValueError(f"references must have an answer to every question, got none to {identifier}")
        fake = next((answer for answer in answers if _FAKE.fullmatch(answer.strip())), None)
        if fake is not None:
            raise ValueError(f"references must be answers, got the placeholder {fake} of a test file for {identifier}")
    return reading_scores([predictions.get(identifier) for identifier in references], list(references.values()))


def strict_span_accuracy(questions: Sequence[Hashable], scores: Any, spans: Any, labels: Any) -> float:
    """How often the span of the best window is, token by token, the first answer in it: not EM.

    The original's number on the validation set, 56 to 58 where EM is 72 to 75 (articles 8739 and 9052). A question is
    right if, of all its windows, the one with the greatest score has exactly the span of its label; an answer in other
    words, or the same one elsewhere, is wrong, and so is every answer where that window has no label.

    Args:
        questions: ``[N]``, of each window the question; in the original each window comes once an answer, the first
            answer first, and of equal scores the first counts.
        scores: ``[N]``, raw score of the best span of each window.
        spans: ``[N, 2]`` of (start, end), token positions of that span.
        labels: ``[N, 2]``, those of the answer; (0, 0) where the window does not have all of it.

    Returns:
        In [0, 1], over the questions.

    Raises:
        ValueError: if a shape is another, or there are no windows.
    """
    scores, spans, labels = np.asarray(scores), np.asarray(spans), np.asarray(labels)
    number = len(questions)
    if not number or (scores.shape, spans.shape, labels.shape) != ((number,), (number, 2), (number, 2)):
        shapes = f"{list(scores.shape)}, {list(spans.shape)} and {list(labels.shape)}"
        raise ValueError(f"scores, spans and labels must be [N], [N, 2] and [N, 2], N = {number} > 0, got {shapes}")
    best: dict[Hashable, int] = {}
    for window, question in enumerate(questions):
        if question not in best or scores[window] > scores[best[question]]:
            best[question] = window
    chosen = list(best.values())
    return float((spans[chosen] == labels[chosen]).all(1).mean())
