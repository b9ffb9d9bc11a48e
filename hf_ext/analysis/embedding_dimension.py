"""How many numbers the vector of a word needs (kexue.fm/archives/7695, 8711)."""

import math

from hf_ext.ops.von_mises_fisher import kl_to_uniform

RULE = 8.33
"""Dimensions for each unit of ``ln(words)``, as the article rounds what is 8.3123 in the limit."""


def skip_gram_entropy(size: float, words: float, scale: float = 1.0) -> float:
    """The entropy in nats of the pairs ``(i, j)`` of a skip-gram model, ``p(i, j) = exp(u_i . v_j) / Z``.

    The vectors point anywhere with equal chance, and all are of one length: ``u . v = scale * size * cos(angle)``. At
    scale 1 that is the root of the size, so that entries are about 1. A model of few dimensions cannot have a low
    entropy, so what it has tells whether it may fit a language: below 0 it is able to.

    Args:
        size: dimensions n, 3 at least; need not be whole.
        words: number N of words, 1 at least.
        scale: the product of the lengths of both vectors as a part of n.

    Returns:
        ``2 ln N + h_n``, with ``h_n`` less than 0 and about ``-0.24 n`` at scale 1.

    Raises:
        ValueError: if a number is out of its range.
    """
    if not words >= 1:
        raise ValueError(f"words must be at least 1, got {words}")
    if not size >= 3:
        raise ValueError(f"size must be at least 3, got {size}")
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be positive, got {scale}")
    # The mean of exp(u . v) and its derivative are those of directions drawn around one of them.
    return 2 * math.log(words) - kl_to_uniform(size, size * scale)


def embedding_dimension(words: float, scale: float = 1.0, exact: bool = False) -> float:
    """The least dimension in which vectors of so many words, or keys of so many tokens, can say what belongs together.

    Args:
        words: their number, 2 at least.
        scale: the product of the lengths of two vectors, divided by the dimension.
        exact: give the dimension at which `skip_gram_entropy` is 0; else that of the article's rule,
            ``8.33 ln(words)``, which holds at scale 1.

    Returns:
        A number that is not whole.

    Raises:
        ValueError: if a number is out of its range, ``scale`` is given to the rule, or the dimension is below 3.
    """
    if not 2 <= words < math.inf:
        raise ValueError(f"words must be at least 2, got {words}")
    if not exact:
        if scale != 1:
            raise ValueError(f"scale must be 1 in the rule, got {scale}; or ask for an exact dimension")
        return RULE * math.log(words)
    low, high = 3.0, 6.0
    if skip_gram_entropy(low, words, scale) < 0:
        raise ValueError(f"scale must be smaller, got {scale}, for which {words} words need less than 3 dimensions")
    while skip_gram_entropy(high, words, scale) > 0:
        low, high = high, 2 * high
    # The entropy falls as the dimension grows.
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if skip_gram_entropy(middle, words, scale) > 0 else (low, middle)
    return high
