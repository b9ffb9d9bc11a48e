"""Scores of vectors on pairs of texts, as they are or whitened, by the articles' protocol (kexue.fm/archives/8069)."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hf_ext.tasks.similarity.files import pair_texts
from hf_ext.tasks.similarity.metrics import spearman
from hf_ext.tasks.similarity.whitening import Whitening

Pairs = Sequence[Mapping[str, Any]]


class Embedding(Protocol):
    """What gives vectors: the pipeline "text-embedding" or "text-similarity", or what stands before one."""

    def stream(self, texts: Iterable[str], **options: Any) -> Iterator[NDArray[np.float32]]:
        """Vectors of texts in parts ``[n, H]``, in their order."""


# As of whitening, what a length is at least.
_LEAST_NORM = 1e-8

WHITEN_ON: Mapping[str, tuple[str, ...]] = {"train": ("train",), "all": ("train", "validation", "test")}
"""The parts whose texts a whitening is fitted to: of training, or, as the articles do, of all, those to be scored too.
Labels have no part in it."""


def score_pairs(
    embed: Embedding,
    parts: Mapping[str, Pairs],
    whiten_on: str | None = None,
    size: int | None = None,
    **options: Any,
) -> dict[str, float]:
    """Spearman's rank correlation of cosines and scores, of vectors that were not trained on either.

    Args:
        embed: gives the vectors.
        parts: pairs ``{"text1", "text2", "score"}`` by the name of their part.
        whiten_on: of `WHITEN_ON`: what a whitening is fitted to, to both texts of each pair; None: there is none.
        size: numbers of a vector that the whitening keeps; None: all.
        **options: of a call of the pipeline, such as ``pooling`` and ``max_length``.

    Returns:
        By part, its correlation in [-1, 1], and of them all ``mean`` and ``weighted_mean``, by the number of pairs. NaN
        where either cosines or scores do not vary, and so in means with it.

    Raises:
        ValueError: if a part has no pairs, one that is to be whitened on is missing, or ``size`` is given alone.
    """
    empty = [part for part, pairs in parts.items() if not pairs]
    if not parts or empty:
        raise ValueError(f"parts must have pairs, got none in {', '.join(empty) or 'all'}")
    if whiten_on is None and size is not None:
        raise ValueError(f"size goes with whiten_on, got {size} without it")
    if whiten_on is not None:
        options["whitening"] = whitening_of(embed, parts, whiten_on, size, **options)
    scores = {
        part: spearman(_cosines(embed, pairs, **options), [pair["score"] for pair in pairs])
        for part, pairs in parts.items()
    }
    counts = [len(pairs) for pairs in parts.values()]
    mean = math.fsum(scores.values()) / len(scores)
    weighted = math.fsum(score * count for score, count in zip(scores.values(), counts)) / sum(counts)
    return {**scores, "mean": mean, "weighted_mean": weighted}


def whitening_of(
    embed: Embedding,
    parts: Mapping[str, Pairs],
    whiten_on: str = "train",
    size: int | None = None,
    **options: Any,
) -> Whitening:
    """A whitening of the texts of a task.

    Args:
        embed: gives the vectors.
        parts: pairs by the name of their part.
        whiten_on: of `WHITEN_ON`.
        size: numbers of a vector to keep; None: all.
        **options: of a call of the pipeline.

    Raises:
        ValueError: if ``whiten_on`` is another, or a part of it is missing.
    """
    if whiten_on not in WHITEN_ON:
        raise ValueError(f"whiten_on must be one of {', '.join(WHITEN_ON)}, got {whiten_on!r}")
    missing = [part for part in WHITEN_ON[whiten_on] if part not in parts]
    if missing:
        raise ValueError(
            f"parts must have {', '.join(WHITEN_ON[whiten_on])} with whiten_on={whiten_on}, got {', '.join(parts)}"
        )

    def texts() -> Iterator[str]:
        for part in WHITEN_ON[whiten_on]:
            yield from pair_texts(parts[part])

    return Whitening.fit(embed.stream(texts(), **options), size)


def _cosines(embed: Embedding, pairs: Pairs, **options: Any) -> NDArray[Any]:
    """The cosine ``[N]`` of each pair."""
    # A pipeline that compares pairs streams vectors too. Lengths in float32 would reorder what is nearly parallel.
    parts = list(embed.stream(pair_texts(pairs), **{**options, "normalize": False}))
    vectors = np.concatenate(parts).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _LEAST_NORM)
    cosines: NDArray[Any] = (vectors[0::2] * vectors[1::2]).sum(-1)
    return cosines
