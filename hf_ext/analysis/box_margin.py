"""By how much a token wins at best within a box, by linear programs of few rows."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hf_ext.extras import extra

_OUT_OF_REACH = 1e-9


class BoxMargin(NamedTuple):
    """The best place for a token in a box.

    Attributes:
        margin: the least distance from a border with another token, 1 at most; negative outside.
        place: float64 ``[H]``, where that is.
    """

    margin: float
    place: Tensor


def box_margin(
    weight: Tensor, bias: Tensor | None, token: int, box: float = 100.0, *, decide: bool = False
) -> BoxMargin:
    """The greatest ``t <= 1`` with ``(w_k - w_i) . z + b_k - b_i >= t |w_k - w_i|`` for all i, by any z in a box.

    The program is that of arXiv 2203.06462, whose rows are taken in as they are needed: most others are never near
    (HiGHS, by scipy). Where rows are equal their distance is taken as 1. A margin of 1e-9 or less is none.

    Args:
        weight: ``[V, H]``; computed in float64.
        bias: ``[V]``; None: none.
        token: k.
        box: the greatest size of a number of z.
        decide: stop as soon as it is known whether the token wins anywhere in the box: the margin is then one that some
            rows allow.

    Returns:
        The margin and where it is.

    Raises:
        MissingExtraError: if scipy is not installed.
        ValueError: if a number is out of its range.
    """
    with extra("analysis", "a linear program"):
        from scipy.optimize import linprog

    if not 0 <= token < len(weight):
        raise ValueError(f"token must be in [0, {len(weight)}), got {token}")
    if not 0 < box < np.inf:
        raise ValueError(f"box must be positive, got {box}")
    rows = weight.detach().cpu().double().numpy()
    offsets = np.zeros(len(rows)) if bias is None else bias.detach().cpu().double().numpy()
    size = rows.shape[1]
    differences, gaps = rows[token] - rows, offsets[token] - offsets
    lengths = np.linalg.norm(differences, axis=1)
    lengths[lengths == 0] = 1.0
    others = np.arange(len(rows)) != token
    place, margin = np.zeros(size), 1.0
    taken = np.zeros(len(rows), dtype=bool)
    cost = np.zeros(size + 1)
    cost[-1] = -1.0
    limits: Any = [(-box, box)] * size + [(None, 1.0)]
    centred = rows[token] - rows.mean(0)
    if (largest := np.abs(centred).max()) > 0:
        place = centred * (box / largest)
    while True:
        found = np.where(others, (differences @ place + gaps) / lengths, np.inf)
        least = found.min()
        slack = _OUT_OF_REACH * max(1.0, abs(margin))
        violated = np.flatnonzero((found < margin - slack) & ~taken)
        if not len(violated) or (decide and (least > _OUT_OF_REACH or (taken.any() and margin <= _OUT_OF_REACH))):
            break
        most = 2 * size if not taken.any() else max(size // 2, 64)
        taken[violated[np.argsort(found[violated])[:most]]] = True
        chosen = np.flatnonzero(taken)
        matrix = np.hstack((-differences[chosen] / lengths[chosen, None], np.ones((len(chosen), 1))))
        solved = linprog(cost, A_ub=matrix, b_ub=gaps[chosen] / lengths[chosen], bounds=limits, method="highs")
        if solved.x is None:
            raise ValueError(f"token must have a program that HiGHS solves, got {token}: {solved.message}")
        place, margin = solved.x[:-1], float(solved.x[-1])
    known = margin if taken.any() and not (decide and least > _OUT_OF_REACH) else min(float(least), 1.0)
    return BoxMargin(known, torch.from_numpy(place))
