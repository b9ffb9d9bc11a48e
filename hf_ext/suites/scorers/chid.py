"""CHID: how many of the blanks have the right idiom.

Which idiom each gets of a model's scores, :data:`hf_ext.tasks.multiple_choice.DECODINGS` says.
"""

from collections.abc import Mapping
from typing import Any


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
