"""What the latents of a variational autoencoder look like over a data set (kexue.fm/archives/7725, 7381, 8404).

Of each text there is a distribution of its latents; the mean of all, the aggregate posterior, is to be the prior, and
each of them is to tell its text. All sums are in float64. Shapes: n texts, D units, K latents of Z units.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.von_mises_fisher import kl_to_uniform, log_partition, mean_cosine

ACTIVE_VARIANCE = 0.01
"""Variance over texts from which on the mean of a unit is called active."""
# Numbers of a block of texts by texts by units that are made at a time.
_BLOCK = 1 << 24


def gaussian_latents(mean: Tensor, log_variance: Tensor, z: Tensor) -> dict[str, Any]:
    """What Gaussian latents look like whose prior is the standard normal distribution.

    Args:
        mean: ``[n, D]``, of each text.
        log_variance: ``[n, D]``.
        z: ``[n, D]``, a sample of each text's distribution.

    Returns:
        Numbers in nats, and lists of D:

        - ``kl_per_unit`` and their sum ``kl``: the mean divergence to the prior, and ``kl_sampled``, its estimate by z;
        - ``mean_variance``: the variance of means over texts, and ``active_units``, in how many it is above 0.01;
        - ``aggregate.mean`` and ``aggregate.second_moment``: 0 and 1 where the aggregate is the prior;
        - ``mutual_information`` of texts and latents, at most ``log(n)``, and ``aggregate_kl``, from the aggregate to
          the prior: estimates that add up to ``kl_sampled``;
        - ``total_correlation`` of the units in the aggregate.

    Raises:
        ValueError: if the shapes are others, or there is no text.
    """
    mean, log_variance, z = (_matrix(*pair) for pair in (("mean", mean), ("log_variance", log_variance), ("z", z)))
    if not mean.shape == log_variance.shape == z.shape:
        shapes = [list(one.shape) for one in (mean, log_variance, z)]
        raise ValueError(f"mean, log_variance and z must have one shape [n, D], got {shapes}")
    variance = log_variance.exp()
    per_unit = ((mean.square() + variance - log_variance - 1) / 2).mean(0)
    spread = mean.var(0, correction=0)
    log_two_pi = torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))

    def log_density(rows: slice) -> Tensor:
        distance = (z[rows, None] - mean).square() / variance
        return -(distance + log_variance + log_two_pi) / 2

    log_prior = -(z.square() + log_two_pi).sum(-1) / 2
    return {
        "kl_per_unit": per_unit.tolist(),
        "kl": float(per_unit.sum()),
        "mean_variance": spread.tolist(),
        "active_units": int((spread > ACTIVE_VARIANCE).sum()),
        "aggregate.mean": mean.mean(0).tolist(),
        "aggregate.second_moment": (mean.square() + variance).mean(0).tolist(),
        **_aggregate(log_density, log_prior, mean.shape[1]),
    }


def sphere_latents(mean: Tensor, kappa: float | None = None, z: Tensor | None = None) -> dict[str, Any]:
    """What latents on unit spheres look like whose prior is the uniform distribution.

    Args:
        mean: ``[n, K, Z]``, or ``[n, Z]`` of one latent; normalised here.
        kappa: concentration of their von Mises-Fisher distributions; None: they are points.
        z: the same shape as ``mean``, a sample of each text's distribution; None: nothing is estimated by samples.

    Returns:
        Lists of K:

        - ``resultant``: the length of the mean vector, 0 where texts are all around, 1 where they are one point;
        - ``uniformity``: the logarithm of the mean of ``exp(-2 |u - v|^2)`` over pairs of texts (arXiv 2005.10242), the
          lower, the more even; None of one text;
        - ``nearest_angle``: the mean angle to the nearest other text, in radians; None of one text.

        With ``kappa`` numbers too: ``spread``, the angle ``arccos(E[cos])`` of a text's samples, ``kl`` of all latents,
        and the list ``overlap``: the part of texts whose samples reach those of the nearest other one. With ``z`` also
        what `gaussian_latents` estimates, the total correlation being that of the latents.

    Raises:
        ValueError: if a shape is another, or there is no text.
    """
    mean = mean.double()
    mean = F.normalize(mean[:, None] if mean.dim() == 2 else mean, dim=-1)
    if mean.dim() != 3 or not len(mean):
        raise ValueError(f"mean must have shape [n, K, Z] with at least one text, got {list(mean.shape)}")
    texts, latents, size = mean.shape
    found: dict[str, Any] = {"resultant": mean.mean(0).norm(dim=-1).tolist()}
    angles = [_nearest(mean[:, number]) for number in range(latents)]
    found["uniformity"] = [uniformity for _, uniformity in angles]
    found["nearest_angle"] = [None if angle is None else float(angle.mean()) for angle, _ in angles]
    if kappa is None:
        return found
    spread = float(torch.tensor(mean_cosine(size, kappa), dtype=torch.float64).arccos())
    found["spread"] = spread
    found["overlap"] = [None if angle is None else float((angle < 2 * spread).double().mean()) for angle, _ in angles]
    found["kl"] = latents * kl_to_uniform(size, kappa)
    if z is not None:
        z = F.normalize(z.double().view(texts, latents, size), dim=-1)

        def log_density(rows: slice) -> Tensor:
            return kappa * torch.einsum("ikd,jkd->ijk", z[rows], mean) - log_partition(size, kappa)

        # Densities are taken with respect to the prior.
        found |= _aggregate(log_density, mean.new_zeros(texts), latents)
    return found


def point_latents(z: Tensor) -> dict[str, Any]:
    """What codes without a distribution look like, those of a plain autoencoder.

    Args:
        z: ``[n, D]``, of each text.

    Returns:
        ``mean_variance``, ``active_units``, ``aggregate.mean`` and ``aggregate.second_moment``, as `gaussian_latents`.

    Raises:
        ValueError: if the shape is another, or there is no text.
    """
    z = _matrix("z", z)
    spread = z.var(0, correction=0)
    return {
        "mean_variance": spread.tolist(),
        "active_units": int((spread > ACTIVE_VARIANCE).sum()),
        "aggregate.mean": z.mean(0).tolist(),
        "aggregate.second_moment": z.square().mean(0).tolist(),
    }


def _matrix(name: str, value: Tensor) -> Tensor:
    if value.dim() != 2 or not len(value):
        raise ValueError(f"{name} must have shape [n, D] with at least one text, got {list(value.shape)}")
    return value.double()


def _aggregate(log_density: Callable[[slice], Tensor], log_prior: Tensor, groups: int) -> dict[str, float]:
    """What compares each text's distribution, their mean and the prior, at the sample of each text.

    Args:
        log_density: of a slice of samples, that of each under each text's distribution, ``[rows, n, groups]``.
        log_prior: ``[n]``.
        groups: units, or latents, which are independent in each text's distribution.
    """
    texts = len(log_prior)
    own, joint, apart = [], [], []
    step = max(1, _BLOCK // (texts * groups))
    for start in range(0, texts, step):
        rows = slice(start, min(start + step, texts))
        density = log_density(rows)
        together = density.sum(-1)
        own.append(together[torch.arange(len(together)), torch.arange(rows.start, rows.stop)])
        joint.append(together.logsumexp(1))
        apart.append(density.logsumexp(1).sum(-1))
    count = torch.log(torch.tensor(texts, dtype=torch.float64))
    log_own, log_joint = torch.cat(own), torch.cat(joint) - count
    log_apart = torch.cat(apart) - groups * count
    return {
        "mutual_information": float((log_own - log_joint).mean()),
        "total_correlation": float((log_joint - log_apart).mean()),
        "aggregate_kl": float((log_joint - log_prior).mean()),
        "kl_sampled": float((log_own - log_prior).mean()),
    }


def _nearest(points: Tensor) -> tuple[Tensor | None, float | None]:
    """Angles ``[n]`` to the nearest other of unit vectors ``[n, Z]``, and their uniformity; None of one vector."""
    texts = len(points)
    if texts < 2:
        return None, None
    nearest, sums = [], []
    step = max(1, _BLOCK // texts)
    for start in range(0, texts, step):
        rows = torch.arange(start, min(start + step, texts))
        cosines = points[rows] @ points.T
        # |u - v|^2 = 2 - 2 cos
        energy = (-4 + 4 * cosines).exp()
        energy[torch.arange(len(rows)), rows] = 0
        sums.append(energy.sum())
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        nearest.append(cosines.amax(1))
    uniformity = (torch.stack(sums).sum() / (texts * (texts - 1))).log()
    return torch.cat(nearest).clamp(-1, 1).arccos(), float(uniformity)
