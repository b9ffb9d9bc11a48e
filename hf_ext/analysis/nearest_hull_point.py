"""The point of the convex hull of many others that is nearest to 0, as a combination of few of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_ext.extras import extra

Array = NDArray[Any]

# Rows that join in a round, after Frank and Wolfe's one.
_JOINING = 64
# More rounds than were ever needed.
_MOST_ROUNDS = 300
# Tokens whose products with all rows are made together.
_TOGETHER = 32
ZERO = 1e-10
"""Length, as a part of that of the rows, up to which a combination counts as 0."""


class NearestPoint(NamedTuple):
    """What is known of the nearest point of the hull.

    Attributes:
        direction: float64 ``[H + 1]``; its product with each point is positive. None where 0 is in the hull.
        rows: int64 ``[m]``, the points that were combined.
        weights: float64 ``[m]``, not negative and with the sum 1.
        is_decided: False if rounding leaves open which of both it is.
    """

    direction: Array | None
    rows: Array
    weights: Array
    is_decided: bool = True


def nearest_hull_points(
    weight: Tensor, bias: Tensor | None, tokens: list[int], resolution: float = 1e-12
) -> Iterator[tuple[int, NearestPoint]]:
    """The nearest point to 0 of the hull of all ``(w_i - w_k, b_i - b_k)``, ``i != k``, plus any ``(0, -c)``, by k.

    By fully corrective Frank-Wolfe: the best weights of a few rows are found by least squares without negative ones
    (scipy.optimize.nnls), then the rows join that lie farthest against the point so found, and those of weight 0 leave.
    It ends once the point is on the side of all rows, or 0.

    Args:
        weight: float64 ``[V, H]``, two rows at least.
        bias: float64 ``[V]``, best of the size of the rows; None: all are equal, and directions have H numbers.
        tokens: values of k.
        resolution: part of the size of the numbers that a product must exceed to count as positive.

    Yields:
        Each token with its point, as they are decided.

    Raises:
        MissingExtraError: if scipy is not installed.
    """
    with extra("analysis", "proving which tokens can never win"):
        from scipy.optimize import nnls

    rows = weight if bias is None else torch.cat((weight, bias[:, None]), dim=1)
    on_host = rows.cpu().numpy()
    longest = float(rows.norm(dim=-1).max())
    waiting = list(reversed(tokens))
    active: dict[int, Array] = {}
    rounds: dict[int, int] = {}
    while waiting or active:
        entering = [waiting.pop() for _ in range(min(len(waiting), _TOGETHER - len(active)))]
        if entering:
            # The rows that win where the token itself is strongest.
            scores = rows @ (rows[entering] - rows.mean(0)).mT
            scores[entering, range(len(entering))] = -torch.inf
            count = min(_JOINING, len(rows) - 1)
            for token, first in zip(entering, scores.topk(count, dim=0).indices.mT.cpu().numpy()):
                active[token], rounds[token] = first, 0
        points = {}
        for token, own in list(active.items()):
            atoms, rounds[token] = on_host[own] - on_host[token], rounds[token] + 1
            weights, points[token] = _nearest(nnls, atoms, bias is not None)
            active[token], weights = own[weights > 0], weights[weights > 0]
            if np.linalg.norm(points[token]) <= ZERO * max(np.linalg.norm(atoms, axis=1).max(), np.finfo(float).tiny):
                yield token, NearestPoint(None, active.pop(token), weights)
                del points[token]
        if not points:
            continue
        directions = torch.as_tensor(np.stack(list(points.values())), device=rows.device)
        products = rows @ directions.mT
        chosen = list(points)
        order = range(len(chosen))
        products -= products[chosen, order]
        products[chosen, order] = torch.inf
        least, joining = products.topk(min(_JOINING, len(rows) - 1), dim=0, largest=False)
        for place, token in enumerate(chosen):
            size = 2 * longest * float(directions[place].norm())
            if float(least[0, place]) > resolution * size:
                yield token, NearestPoint(points[token], active.pop(token), np.empty(0))
                continue
            own = np.union1d(active[token], joining[:, place].cpu().numpy())
            if len(own) == len(active[token]) or rounds[token] == _MOST_ROUNDS:
                yield token, NearestPoint(None, active.pop(token), np.empty(0), is_decided=False)
            else:
                active[token] = own


def _nearest(nnls: Any, atoms: Array, has_ray: bool) -> tuple[Array, Array]:
    """Weights of the atoms ``[m, D]`` with the sum 1, and the point; the last number of it may be lowered at will."""
    scale = np.linalg.norm(atoms, axis=1).max() or 1.0
    matrix = np.vstack((atoms.T / scale, np.ones(len(atoms))))
    if has_ray:
        ray = np.zeros((len(matrix), 1))
        ray[-2] = -1.0
        matrix = np.hstack((matrix, ray))
    wanted = np.zeros(len(matrix))
    wanted[-1] = 1.0
    # With the sum of weights as one more row all weights come out too small by one factor.
    found, _ = nnls(matrix, wanted, maxiter=50 * matrix.shape[1])
    found = found / found[: len(atoms)].sum()
    point = matrix[:-1] @ found * scale
    return found[: len(atoms)], point
