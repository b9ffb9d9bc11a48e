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
    vectors: NDArray[Any] = np.asarray(embeddings, dtype=np.float32)
    if vectors.ndim != 3 or vectors.shape[1] != 2:
        raise ValueError(f"embeddings must have shape [N, 2, H], got {list(vectors.shape)}")
    vectors = vectors.reshape(-1, vectors.shape[-1])
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    found = 0
    for start in range(0, len(vectors), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(vectors)))
        cosines = vectors[rows] @ vectors.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        found += int((cosines.argmax(-1) == rows ^ 1).sum())
    return found / len(vectors) if len(vectors) else float("nan")
