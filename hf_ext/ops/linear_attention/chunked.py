"""Linear attention in time and memory linear in the length (arXiv 2006.16236, 1812.01243, 2009.14794;
kexue.fm/archives/7546, 7921, 8338).

Shapes: B batch, N heads, L tokens, D key size, M features, E value size, C chunk size, G chunks.
"""

import torch
from torch import Tensor

from hf_ext.ops.chunks import chunk_length, split
from hf_ext.ops.graphs import is_exported
from hf_ext.ops.linear_attention.kernels import CosSin, Features, check_kernel, make_features
from hf_ext.ops.precision import at_least_float32

CHUNK_SIZE = 128
"""Tokens of a chunk of the causal form. The result does not depend on it, time and memory do."""


def linear_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel: str = "exp",
    causal: bool = False,
    real: Tensor | None = None,
    omega: Tensor | None = None,
    rotation: CosSin | None = None,
    chunk_size: int = CHUNK_SIZE,
) -> Tensor:
    """``o_i = sum_j sim(q_i, k_j) v_j / sum_j sim(q_i, k_j)`` with ``sim(q, k) = phi(q) . psi(k)``.

    The kernels:

    - ``"elu"``: both are elu(x) + 1 (arXiv 2006.16236);
    - ``"exp"``: both are e^x (8338);
    - ``"softmax_exp"``: a softmax over the features of q, and e^k: ``"exp"`` by another name, as what a softmax divides
      a query by falls out;
    - ``"double_softmax"``: that, and a softmax over the tokens of k in place of the denominator (arXiv 1812.01243); not
      causal;
    - ``"cosine"``: 1 + cos(q, k) (7546);
    - ``"favor"``: ``e^{omega x' - |x'|^2 / 2}`` of ``x' = x D^(-1/4)``, which estimates ``e^{q.k / sqrt(D)}`` (arXiv
      2009.14794).

    The causal form is quadratic in chunks and keeps sums across them. Nothing depends on padding, wherever it is, nor,
    if ``causal``, on what comes later.

    Args:
        query: ``[B, N, L, D]``, not scaled.
        key: ``[B, N, L, D]``.
        value: ``[B, N, L, E]``.
        kernel: one of `KERNELS`.
        causal: whether the future is hidden.
        real: bool ``[B, L]``, True at real tokens; None: all are.
        omega: ``[M, D]`` from :func:`random_features`, of ``"favor"`` alone.
        rotation: cos and sin ``[B or 1, L, M/2]``, by which the features of the numerator are turned, but not those of
            the denominator, so that weights may be negative and need not sum to 1; under ``"cosine"`` both (8265).
            None: no positions.
        chunk_size: C of the causal form.

    Returns:
        ``[B, N, L, E]`` in the type of ``value``, computed in float32 or better; 0 where no key is seen.

    Raises:
        ValueError: if the kernel is unknown, has no causal form, or ``omega`` does not fit it.
    """
    check_kernel(kernel, causal, omega, query.shape[-1])
    with torch.autocast(value.device.type, enabled=False):
        features = make_features(query, key, kernel, causal, real, omega, rotation)
        wide = at_least_float32(value)
        out = causal_chunks(features, wide, chunk_size)[0] if causal else _all_to_all(features, wide)
        return out.to(value.dtype)


def _all_to_all(features: Features, value: Tensor) -> Tensor:
    """The bidirectional form: all queries read the same sums."""
    out = features.turned_query @ (features.turned_key.mT @ value)
    if not features.divided:
        return out
    return divide(out, features.query @ features.key.sum(-2)[..., None])


def divide(out: Tensor, sums: Tensor) -> Tensor:
    """Outputs ``[..., E]`` over the sums of their weights ``[..., 1]``: 0 where no key is seen.

    Sums of exponentials are not near 0. Those of ``"cosine"`` can be 0, or less by rounding.
    """
    return out / sums.clamp(min=8 * torch.finfo(sums.dtype).eps)


def causal_chunks(
    features: Features, value: Tensor, chunk_size: int, past: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The causal form, from sums over the tokens before.

    Args:
        features: of the tokens, 0 at the keys of padding.
        value: ``[B, N, L, E]`` in their type.
        chunk_size: C.
        past: ``[B, N, M, E]`` and ``[B, N, M]``, the sums of ``psi(k_j) v_j`` and of ``psi(k_j)``; None: they are 0.

    Returns:
        ``[B, N, L, E]``, and the sums after the last token, in the shape of ``past``.
    """
    (batch, heads, length), size = value.shape[:3], chunk_length(chunk_size, value.shape[2])
    turned = features.turned_key is not features.key
    # Rows and heads in one, as batched products take them.
    q, k, v = (split(x.flatten(0, 1), size) for x in (features.turned_query, features.turned_key, value))
    weights = (q @ k.mT).tril()
    out, more = weights @ v, k.mT @ v
    if turned:
        plain_q, plain_k = (split(x.flatten(0, 1), size) for x in (features.query, features.key))
        weights = (plain_q @ plain_k.mT).tril()
    else:
        plain_q, plain_k = q, k
    sums, more_sums = weights.sum(-1, keepdim=True), plain_k.sum(-2)[..., None]

    if past is None and not is_exported() and out.shape[1] == 1:
        total, norm = more[:, 0], more_sums[:, 0]
    else:
        if past is None:
            start, norm_start = torch.zeros_like(more[:, 0]), torch.zeros_like(more_sums[:, 0])
        else:
            start, norm_start = past[0].flatten(0, 1), past[1].flatten(0, 1)[..., None]
        before, norms = (
            torch.cat((first[:, None], added[:, :-1]), dim=1).cumsum(1)
            for first, added in ((start, more), (norm_start, more_sums))
        )
        total, norm = before[:, -1] + more[:, -1], norms[:, -1] + more_sums[:, -1]
        out = torch.baddbmm(*(x.flatten(0, 1) for x in (out, q, before))).view_as(out)
        sums = sums + plain_q @ norms
    out = divide(out, sums).flatten(1, 2)[:, :length].reshape(batch, heads, length, -1)
    return out, total.view(batch, heads, *total.shape[1:]), norm.view(batch, heads, -1)
