"""Which choice each row takes where rows belong together and no two of them take the same (ChID's blanks).

Shapes: N rows, K choices. Rows of a group have the same choices in the same order; -inf is a choice that is not there.
"""

from collections.abc import Callable, Hashable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from hf_ext.extras import extra

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
