"""Tasks of mteb, such as C-MTEB's of similarity, for the pipeline of embeddings; the package mteb has to be there."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_ext.extras import MissingExtraError
from hf_ext.tasks.similarity.pipeline import EmbeddingPipeline

C_MTEB_STS = ("ATEC", "BQ", "LCQMC", "PAWSX", "STSB", "AFQMC", "QBQTC")
"""C-MTEB's tasks of similarity (arXiv 2309.07597), by their names in mteb."""


class MTEBEncoder:
    """The pipeline "text-embedding" as mteb asks for vectors.

    Args:
        embed: the pipeline.
        meta: mteb's description of the model.
        **options: of a call of the pipeline, such as ``pooling`` and ``whitening``.
    """

    def __init__(self, embed: EmbeddingPipeline, meta: Any = None, **options: Any) -> None:
        self.embed, self.mteb_model_meta, self.options = embed, meta, options

    def encode(self, inputs: Iterable[Mapping[str, Sequence[str]]], **_: Any) -> NDArray[np.float32]:
        """Vectors ``[N, H]`` of the texts of batches."""
        texts = (text for batch in inputs for text in batch["text"])
        return np.concatenate([*self.embed.stream(texts, **self.options)])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """The cosine ``[N, M]`` of each of ``[N, H]`` with each of ``[M, H]``."""
        first, second = _unit(embeddings1), _unit(embeddings2)
        return first @ second.mT

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """The cosine ``[N]`` of each of ``[N, H]`` with that of its place."""
        first, second = _unit(embeddings1), _unit(embeddings2)
        return (first * second).sum(-1)


def evaluate_by_mteb(embed: EmbeddingPipeline, tasks: Sequence[str] = C_MTEB_STS, **options: Any) -> dict[str, float]:
    """Main scores of mteb's tasks, by their names; for similarity Spearman's rank correlation of the cosines.

    The data come from the Hub, as mteb loads them, or from its cache. Results of earlier evaluations are not taken.

    Args:
        embed: the pipeline "text-embedding".
        tasks: names of tasks as mteb calls them.
        **options: of a call of the pipeline.

    Raises:
        MissingExtraError: if mteb of version 2 is not installed.
    """
    try:
        import mteb
        from mteb.models.model_meta import ModelMeta

        evaluate = mteb.evaluate
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(
            "mteb's tasks need the package mteb, version 2 or later, which is not installed: pip install 'mteb>=2'",
            name="mteb",
        ) from error
    name = Path(str(embed.model.name_or_path or "model")).name
    # It wants an owner in a name.
    meta = ModelMeta.create_empty(overwrites={"name": f"hf_ext/{name}", "revision": embed.fingerprint(**options)})
    # Its cache would know the model by name alone.
    results = evaluate(MTEBEncoder(embed, meta, **options), mteb.get_tasks(tasks=list(tasks)), cache=None)
    return {result.task_name: float(result.get_score()) for result in results.task_results}


def _unit(vectors: Any) -> Tensor:
    return torch.nn.functional.normalize(torch.as_tensor(vectors).double(), dim=-1)
