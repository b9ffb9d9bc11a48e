"""Which choice each row takes where rows belong together and no two of them take the same (ChID's blanks).

Shapes: N rows, K choices. Rows of a group have the same choices in the same order; -inf is a choice that is not there.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import numpy as np

from hf_ext.extras import extra
from hf_ext.metrics.class_scores import class_probabilities

OPTIONAL_KEYS = ("question", "blank", "group")
"""What a question may have beside its text and its choices."""

_ASSIGNMENT = "decoding by assignment, unlike greedy or argmax,"

Groups = Sequence[Hashable | None]
"""What each row belongs to; None: to itself alone."""


def decode_argmax(logits: Any, groups: Groups) -> Any:
    """The best choice of each row, whatever others take.

    Args:
        logits: ``[N, K]``.
        groups: N of them, which do not matter here.

    Returns:
        int64 ``[N]``.

    Raises:
        ValueError: if the shapes do not fit, a logit is NaN or a row has no choice.
    """
    return _checked(logits, groups).argmax(-1)


def decode_greedy(logits: Any, groups: Groups) -> Any:
    """The best choice of all rows of a group first, then the best of other rows and choices, and so on.

    So CLUE's own code does, which of equal ones takes the first choice, and of its rows the first; at a row beyond as
    many as there are choices its scorer stops, where here the row takes its best. Arguments and result as of
    `decode_argmax`.
    """
    logits = _checked(logits, groups)
    found = logits.argmax(-1)
    for rows in _together(groups):
        left = logits[rows].copy()
        for _ in range(min(left.shape)):
            choice, row = np.unravel_index(left.T.argmax(), left.T.shape)
            if left[row, choice] == -np.inf:
                break
            found[rows[row]] = choice
            left[row] = left[:, choice] = -np.inf
    return found


def decode_assignment(logits: Any, groups: Groups) -> Any:
    """The choices of a group, each at most once, whose logits have the largest sum (kexue.fm/archives/8739).

    Rows beyond as many as there are choices, which get none, take their best; the original gives them the choices of
    others. Arguments and result as of `decode_argmax`.

    Raises:
        MissingExtraError: if scipy is not installed.
    """
    solve = assignment_solver()
    logits = _checked(logits, groups)
    found = logits.argmax(-1)
    for rows in _together(groups):
        own = logits[rows]
        there = np.flatnonzero((own > -np.inf).all(0))
        taken, choices = solve(own[:, there], maximize=True)
        found[rows[taken]] = there[choices]
    return found


DECODINGS: dict[str, Callable[[Any, Groups], Any]] = {
    "argmax": decode_argmax,
    "greedy": decode_greedy,
    "assignment": decode_assignment,
}
"""The ways by their names."""


def decoding_of(decoding: str | None, groups: Groups) -> str:
    """The name of a way: the one given, else "assignment" where rows belong together, and "argmax" elsewhere.

    Raises:
        ValueError: if there is no such way.
    """
    if decoding not in (None, *DECODINGS):
        raise ValueError(f"decoding must be one of {', '.join(DECODINGS)}, got {decoding!r}")
    return decoding or ("argmax" if all(group is None for group in groups) else "assignment")


def can_assign() -> bool:
    """Whether scipy, which finds assignments, is installed."""
    return find_spec("scipy") is not None


def assignment_solver() -> Callable[..., Any]:
    """Scipy's function that finds an assignment.

    Raises:
        MissingExtraError: if scipy is not installed.
    """
    with extra("analysis", _ASSIGNMENT):
        from scipy.optimize import linear_sum_assignment
    solve: Callable[..., Any] = linear_sum_assignment
    return solve


def checked_question(question: Any) -> dict[str, Any]:
    """What a question is made of, as a mapping with text and choices.

    Raises:
        TypeError: if it is no mapping, or a text no string.
        ValueError: if it lacks a text or choices, or its blank does not stand in the text once.
    """
    if not isinstance(question, Mapping):
        raise TypeError(f"a question must be a mapping with text and choices, got {type(question).__name__}")
    if not {"text", "choices"} <= question.keys():
        raise ValueError(f"a question must have text and choices, got {', '.join(map(str, question)) or 'none'}")
    choices = question["choices"]
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
        raise ValueError(f"choices must be a list of strings, got {choices!r}")
    named = {"text": question["text"], **{name: question.get(name) for name in OPTIONAL_KEYS}}
    own = {name: value for name, value in named.items() if value is not None}
    for value in (*(own[name] for name in own if name != "group"), *choices):
        if not isinstance(value, str):
            raise TypeError(f"texts and choices must be strings, got {type(value).__name__}")
    if "blank" in own and own["text"].count(own["blank"]) != 1:
        raise ValueError(f"blank must stand in the text once, got {own['blank']!r}")
    return {**own, "choices": list(choices)}


def together(scored: Iterable[tuple[dict[str, Any], Any]]) -> Iterator[list[tuple[dict[str, Any], Any]]]:
    """Questions with the logits of their choices, those of a group at once.

    Raises:
        ValueError: if a group comes twice, with others in between, or its questions have different choices.
    """
    seen: set[Hashable] = set()
    for group, own in groupby(scored, lambda pair: pair[0].get("group")):
        if group is None:
            yield from ([pair] for pair in own)
            continue
        rows = list(own)
        if group in seen:
            raise ValueError(f"questions of a group must stand together, got group {group!r} a second time")
        seen.add(group)
        if any(question["choices"] != rows[0][0]["choices"] for question, _ in rows):
            raise ValueError(f"questions of a group must have the same choices, got others in group {group!r}")
        yield rows


def picked_choices(
    scored: Sequence[tuple[Mapping[str, Any], Any]],
    choices_of: Callable[[Mapping[str, Any]], Sequence[str]],
    decoding: str | None,
    top_k: int,
) -> list[list[dict[str, Any]]]:
    """The choices that questions which belong together take, as the pipeline gives them.

    Args:
        scored: questions with the logits ``[K]`` of their choices.
        choices_of: gives the choices of a question.
        decoding: as of `decoding_of`.
        top_k: how many choices to give of each, at most.
    """
    questions, rows = zip(*scored)
    groups = [question.get("group") for question in questions]
    logits = np.stack(rows)
    taken = DECODINGS[decoding_of(decoding, groups)](logits, groups)
    found = []
    for question, choice, row in zip(questions, taken.tolist(), class_probabilities(logits, multi_label=False)):
        choices = choices_of(question)
        others = sorted(range(len(choices)), key=lambda index: (index != choice, -row[index]))
        found.append([{"choice": choices[one], "index": one, "score": float(row[one])} for one in others[:top_k]])
    return found


def _checked(logits: Any, groups: Groups) -> Any:
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[1] == 0 or len(groups) != len(logits):
        raise ValueError(f"logits must have shape [{len(groups)}, K], one row for each group, got {list(logits.shape)}")
    if np.isnan(logits).any():
        raise ValueError("logits must be numbers, got NaN; with dtype float16, try another")
    empty = np.flatnonzero((logits == -np.inf).all(-1))
    if len(empty):
        raise ValueError(f"a row must have a choice that is there, got none in row {empty[0]}")
    return logits


def _together(groups: Groups) -> list[Any]:
    """The numbers of the rows of each group that has several."""
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        if group is not None:
            rows.setdefault(group, []).append(row)
    return [np.asarray(own) for own in rows.values() if len(own) > 1]
