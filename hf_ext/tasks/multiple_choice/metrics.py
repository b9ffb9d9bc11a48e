"""Scores of questions with choices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_ext.tasks.multiple_choice.decoding import DECODINGS, Groups, can_assign, decoding_of


def groups_of(examples: Sequence[Mapping[str, Any]]) -> Groups:
    """What each question belongs to; None: to itself alone."""
    return [example.get("group") for example in examples]


def logits_of_choices(logits: Any, counts: Sequence[int]) -> Any:
    """Logits ``[N, K]`` with -inf at what is no choice of a question, as where Trainer has filled up a row.

    Args:
        logits: ``[N, K]``.
        counts: choices of each question.
    """
    logits = np.asarray(logits, dtype=np.float64)
    return np.where(np.arange(logits.shape[1]) < np.asarray(counts)[:, None], logits, -np.inf)


def choice_scores(
    logits: Any, labels: Sequence[int], groups: Groups | None = None, decoding: str | None = None
) -> dict[str, Any]:
    """Score the choices of questions.

    Args:
        logits: ``[N, K]``, -inf of what is no choice.
        labels: the right choices.
        groups: what each question belongs to, see `hf_ext.tasks.multiple_choice.decoding`; None: each is alone.
        decoding: how choices are made of logits; None: as `decoding_of` says.

    Returns:
        ``accuracy``, the part of the questions with the right choice; ``decoding``, its way; where questions belong
        together also ``accuracy_argmax``, ``accuracy_greedy`` and ``accuracy_assignment``, those of all ways.

    Raises:
        ValueError: if the numbers of questions differ or are 0.
    """
    groups = [None] * len(labels) if groups is None else groups
    if not labels or len(logits) != len(labels):
        raise ValueError(f"logits must be for as many questions as labels, got {len(logits)} and {len(labels)}")
    name = decoding_of(decoding, groups)
    together = any(group is not None for group in groups)
    # Who has asked for another way need not have what assignments take.
    ways = [way for way in DECODINGS if way == name or (together and (way != "assignment" or can_assign()))]
    found = {way: float((DECODINGS[way](logits, groups) == np.asarray(labels)).mean()) for way in ways}
    scores: dict[str, Any] = {"accuracy": found[name], "decoding": name}
    return {**scores, **({f"accuracy_{way}": value for way, value in found.items()} if together else {})}
