"""How well embeddings find paraphrases."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows whose similarities are held at a time.
_ROWS = 1024


def paraphrase_retrieval_accuracy(embeddings: Any) -> float:
    """Part of the sentences whose nearest other sentence by cosine is their own paraphrase.

    Args:
        embeddings: ``[N, 2, H]``, N pairs.

    Returns:
        A number in [0, 1]; NaN without pairs.
    """
    nearest = nearest_sentences(embeddings).ravel()
    return int((nearest == np.arange(len(nearest)) ^ 1).sum()) / len(nearest) if len(nearest) else float("nan")


def nearest_sentences(embeddings: Any) -> NDArray[Any]:
    """Numbers ``[N, 2]`` of the nearest other sentence by cosine; sentences 2i and 2i + 1 are pair i.

    Args:
        embeddings: ``[N, 2, H]``, N pairs.
    """
    vectors: NDArray[Any] = np.asarray(embeddings, dtype=np.float32)
    if vectors.ndim != 3 or vectors.shape[1] != 2:
        raise ValueError(f"embeddings must have shape [N, 2, H], got {list(vectors.shape)}")
    vectors = vectors.reshape(-1, vectors.shape[-1])
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    nearest = np.zeros(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(vectors)))
        cosines = vectors[rows] @ vectors.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        nearest[rows] = cosines.argmax(-1)
    return nearest.reshape(-1, 2)
