"""The pipeline "text-similarity": pairs of texts in, how alike they are out."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from transformers import AutoModel

from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.similarity.pipeline import EmbeddingPipeline


class SimilarityPipeline(EmbeddingPipeline):
    """Says how alike the two texts of a pair are, with any encoder.

    ``pipeline("text-similarity", model=folder)`` gives for a pair ``{"text1", "text2"}`` the cosine of the vectors that
    "text-embedding" gives, and a list of them for a list of pairs. Options are those of "text-embedding".
    """

    found = "similarity"
    command: ClassVar[str | None] = "similarity"
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("text1", "text2"),)

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:  # type: ignore[override]
        """The cosine of a pair, or a list of those of several.

        Raises:
            TypeError: if a pair is no mapping, or a text no string.
            ValueError: if a text is missing.
        """
        if isinstance(inputs, Mapping):
            return self([inputs], **options)[0]
        pairs = list(inputs)
        for pair in pairs:
            if not isinstance(pair, Mapping):
                raise TypeError(f"inputs must be mappings with text1 and text2, got {type(pair).__name__}")
            if not {"text1", "text2"} <= pair.keys():
                raise ValueError(f"inputs must have text1 and text2, got {', '.join(map(str, pair)) or 'none'}")
        texts = [pair[name] for name in ("text1", "text2") for pair in pairs]
        vectors = super().__call__(texts, **{**options, "normalize": True})
        first, second = np.split(vectors.astype(np.float64), 2)
        # Lengths are rounded, so that a text beside itself may come out above 1.
        return [float(cosine) for cosine in (first * second).sum(-1).clip(-1, 1)]


register_task("text-similarity", SimilarityPipeline, AutoModel)
