"""The feature maps of linear attention, whose scalar products are the similarities of queries and keys.

All but one are exponentials. Their logarithms are shifted so that nothing overflows and no sum vanishes: a number for
each feature moves from the keys to the queries, and a factor for each query falls out in the division.

Shapes: B batch, N heads, L tokens, D key size, M features.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.rotary import apply_rotary

KERNELS = ("elu", "exp", "softmax_exp", "double_softmax", "cosine", "favor")
"""The similarities that there are; see :func:`hf_ext.ops.linear_attention.linear_attention`."""
CosSin = tuple[Tensor, Tensor]
# Below the logarithm of any key, and far from where sums with it overflow.
_NOTHING = -1e30
# Shorter vectors have no direction to speak of.
_SHORTEST = 1e-6


@dataclass(frozen=True)
class Features:
    """Feature maps of queries and keys, in float32 or better.

    Attributes:
        query: ``[B, N, L, M]``.
        key: ``[B, N, L, M]``, 0 at padding.
        turned_query: ``[B, N, L, M]``, those of the numerator: rotated, or ``query`` itself.
        turned_key: ``[B, N, L, M]``.
        shift: ``[B, N, M]``, what has been taken from the logarithms of keys; 0 where there are none.
        divided: whether outputs are to be divided by the sum of the similarities.
    """

    query: Tensor
    key: Tensor
    turned_query: Tensor
    turned_key: Tensor
    shift: Tensor
    divided: bool = True


def check_kernel(kernel: str, causal: bool, omega: Tensor | None = None, key_size: int | None = None) -> None:
    """Refuse what has no meaning.

    Args:
        kernel: one of `KERNELS`.
        causal: whether the future is to be hidden.
        omega: ``[M, D]``, of ``"favor"`` alone.
        key_size: D; None: ``omega`` is not looked at.

    Raises:
        ValueError: naming the argument, its value and the values that work.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {KERNELS}, got {kernel!r}")
    if causal and kernel == "double_softmax":
        raise ValueError(
            'kernel "double_softmax" has no causal form, as its softmax over the tokens looks ahead; use "softmax_exp"'
        )
    if key_size is None:
        return
    if kernel != "favor" and omega is not None:
        raise ValueError(f"omega must be None but for kernel 'favor', got one with kernel {kernel!r}")
    if kernel == "favor" and (omega is None or omega.dim() != 2 or omega.shape[1] != key_size):
        found = None if omega is None else list(omega.shape)
        raise ValueError(f"omega must have shape [M, {key_size}] for kernel 'favor', got {found}")


def make_features(
    query: Tensor,
    key: Tensor,
    kernel: str,
    causal: bool,
    real: Tensor | None = None,
    omega: Tensor | None = None,
    rotation: CosSin | None = None,
    before: tuple[Tensor, Tensor] | None = None,
) -> Features:
    """Map queries and keys.

    Args:
        query: ``[B, N, L, D]``.
        key: ``[B, N, L, D]``.
        kernel: one of `KERNELS`.
        causal: whether no feature may depend on tokens that come later.
        real: bool ``[B, L]``, True at real tokens; None: all are.
        omega: ``[M, D]`` of ``"favor"``.
        rotation: cos and sin ``[B or 1, L, M/2]`` of the numerator's features; None: they are not rotated.
        before: ``shift`` of the tokens before, and bool ``[B]``, whether there were any; None: there were none.
    """
    query, key = at_least_float32(query), at_least_float32(key)
    padding = None if real is None else ~real[:, None, :, None]
    if kernel == "cosine":
        # The one kernel that is rotated in the denominator too: lengths stay, and no similarity falls below 0.
        vectors = (_turn(F.normalize(x, dim=-1, eps=_SHORTEST), rotation) for x in (query, key))
        # The 1 of 1 + cos.
        phi, psi = (F.pad(x, (1, 0), value=1.0) for x in vectors)
        psi = psi if padding is None else psi.masked_fill(padding, 0.0)
        return Features(phi, psi, phi, psi, torch.zeros_like(psi[:, :, 0]))

    q, k = _logarithms(query, key, kernel, omega)
    if kernel == "double_softmax":
        phi = q.softmax(-1)
        if padding is None:
            psi = k.softmax(-2)
        else:
            psi = k.masked_fill(padding, _NOTHING).softmax(-2).masked_fill(padding, 0.0)
        shift = torch.zeros_like(k[:, :, 0])
    else:
        shift = _shift(k.detach(), causal, real, before)
        if rotation is not None:
            # What is rotated into each other must be shifted alike.
            shift = shift.unflatten(-1, (-1, 2)).amax(-1).repeat_interleave(2, dim=-1)
        k = k - shift[:, :, None]
        if causal:
            # A key so far beyond the first of its text counts for as much as fits.
            k = k.clamp(max=0.7 * math.log(torch.finfo(k.dtype).max))
        psi = (k if padding is None else k.masked_fill(padding, -torch.inf)).exp()
        # The softmax is the fastest of the exponentials that cannot overflow; what it divides by falls out.
        phi = (q + shift[:, :, None]).softmax(-1)
    turned = (phi, psi) if rotation is None else (_turn(phi, rotation), _turn(psi, rotation))
    return Features(phi, psi, *turned, shift, divided=kernel != "double_softmax")


def _logarithms(query: Tensor, key: Tensor, kernel: str, omega: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logarithms of the features ``[B, N, L, M]``, those of a query up to a number for each."""
    if kernel == "favor":
        assert omega is not None
        # Traced, a size is a tensor, whose powers are of float32.
        scale = float(query.shape[-1]) ** -0.25
        omega = omega.to(query.dtype)
        # The length of a query is such a number.
        return (query * scale) @ omega.T, (key * scale) @ omega.T - (key * scale).square().sum(-1, keepdim=True) / 2
    if kernel == "elu":
        return _log_elu_plus_one(query), _log_elu_plus_one(key)
    return query, key


def _log_elu_plus_one(x: Tensor) -> Tensor:
    return torch.where(x > 0, x.clamp(min=0).log1p(), x)


def _shift(k: Tensor, causal: bool, real: Tensor | None, before: tuple[Tensor, Tensor] | None) -> Tensor:
    """What to take from logarithms of keys ``[B, N, L, M]``, for each feature ``[B, N, M]``.

    The largest of a text; in a causal model, which must not know it, that of the first real token, which all see.
    """
    if not causal:
        return (k if real is None else k.masked_fill(~real[:, None, :, None], _NOTHING)).amax(-2)
    if real is None:
        found = k[:, :, 0]
    else:
        rows = torch.arange(k.shape[0], device=k.device)
        found = k[rows, :, real.int().argmax(-1)]
    if before is None:
        return found
    shift, begun = before
    return torch.where(begun[:, None, None], shift, found)


def _turn(x: Tensor, rotation: CosSin | None) -> Tensor:
    """Rotate ``x`` ``[B, N, L, M]``."""
    if rotation is None:
        return x
    cos, sin = (part[:, None] for part in rotation)
    return apply_rotary(x.unsqueeze(-2), cos, sin).squeeze(-2)
