"""Which key each query may see: UniLM groups, packed documents and all but itself, as masks and as mask functions.

A mask function ``f(b, head, q, kv) -> bool`` is what Transformers' mask builders combine with causality and padding.
"""

from collections.abc import Callable

import torch
from torch import Tensor

MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def document_ids(position_ids: Tensor) -> Tensor:
    """Number the documents of packed rows: a new one starts where the position does not grow.

    Args:
        position_ids: ``[B, L]``.

    Returns:
        ``[B, L]`` int64, from 0 in each row.
    """
    starts = torch.zeros_like(position_ids, dtype=torch.long)
    starts[:, 1:] = position_ids.diff(dim=-1) <= 0
    return starts.cumsum(-1)


def same_document(documents: Tensor) -> MaskFunction:
    """Mask function that keeps attention inside a document.

    Args:
        documents: ``[B, L]`` from :func:`document_ids`.
    """

    def mask(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return documents[batch, query] == documents[batch, key]

    return mask


def other_token(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Mask function that hides each token from its own query (arXiv 2004.08097).

    By the index in the row and not by the position, which begins anew in each document of a packed row.
    """
    return query != key


def unilm_mask(token_type_ids: Tensor) -> Tensor:
    """UniLM's mask (arXiv 1905.03197): key j is visible to query i iff cumsum(type)[j] <= cumsum(type)[i].

    Args:
        token_type_ids: ``[B, L]``: 0 for the source, 1 for each token of the target.

    Returns:
        ``[B, 1, L, L]`` bool, True where query (row) sees key (column).
    """
    groups = token_type_ids.cumsum(-1)
    return (groups[:, None, None, :] <= groups[:, None, :, None]).contiguous()


def same_unilm_group(token_type_ids: Tensor, past_length: int = 0) -> MaskFunction:
    """Mask function that adds to a causal mask what UniLM's has beyond it: all of a group sees all of it.

    Args:
        token_type_ids: ``[B, L]`` of the tokens being run.
        past_length: tokens before them in the cache, which all of them see already.
    """
    groups = token_type_ids.cumsum(-1)
    last = groups.shape[-1] - 1

    def mask(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        # A cache of fixed size has slots after the last token: they are clamped to read and then refused.
        key = key - past_length
        inside = (key >= 0) & (key <= last)
        return inside & (groups[batch, key.clamp(0, last)] == groups[batch, query - past_length])

    return mask
