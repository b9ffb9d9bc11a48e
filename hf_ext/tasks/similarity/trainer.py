"""Trainer of sentence embeddings: CoSENT on scored pairs, SimCSE on texts alone."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import EvalPrediction

from hf_ext.losses import cosent_pair_loss, simcse_loss
from hf_ext.losses.rows import check_positive
from hf_ext.modules.text_vectors import encode_texts, pooler_dense
from hf_ext.ops.gather import gather_rows
from hf_ext.ops.pooling import check_pooling
from hf_ext.tasks.similarity.metrics import spearman
from hf_ext.training.gradient_cache import cached_backward
from hf_ext.training.job_trainer import JobTrainer

METRIC = "spearman"


class SimilarityTrainer(JobTrainer):
    """Trainer of an encoder whose loss compares the vectors of a whole batch, over all processes.

    Batches are those of :class:`DataCollatorForSimilarity`; a batch with ``labels`` is learnt by CoSENT, one without
    by SimCSE. Gradient accumulation averages the losses of its micro-batches, which is not the loss of a larger batch;
    ``chunk_size`` gives that in the same memory. Evaluation gives cosines and scores of the pairs, each ``[N]``.

    Args:
        pooling: one of `hf_ext.ops.pooling.POOLINGS`; written to ``config.embedding_pooling``, where the pipeline
            "text-embedding" finds it.
        scale: what cosines are multiplied by.
        chunk_size: texts that are run with a graph at a time (GradCache); None: the whole batch.
        *args: Trainer's.
        **kwargs: Trainer's.

    Raises:
        ValueError: if an argument does not fit.
    """

    def __init__(
        self, *args: Any, pooling: str = "mean", scale: float = 20.0, chunk_size: int | None = None, **kwargs: Any
    ) -> None:
        check_positive("scale", scale)
        check_pooling(pooling)
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
        kwargs.setdefault("compute_metrics", similarity_metrics)
        super().__init__(*args, **kwargs)
        # The loss is made here: Trainer has to divide it by the number of accumulation steps.
        self.model_accepts_loss_kwargs = False
        # The collator takes texts, which no model has as an argument.
        self.args.remove_unused_columns = False
        self.pooling, self.scale, self.chunk_size = pooling, scale, chunk_size
        model: Any = self.model
        if pooling == "pooler_dense":
            # Else it would be missed later.
            pooler_dense(model)
            if self.is_fsdp_enabled or self.is_deepspeed_enabled:
                raise ValueError("pooling must not be 'pooler_dense' with FSDP or DeepSpeed, which may shard its layer")
        model.config.embedding_pooling = pooling

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss of all processes' pairs; with ``return_outputs`` this process's vectors ``[2N, H]`` too."""
        texts, labels = _without_labels(inputs)
        vectors = self._encode(model, texts)
        loss = self._loss(vectors, labels)
        return (loss, {"embeddings": vectors}) if return_outputs else loss

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """As Trainer's, in chunks if asked for."""
        if self.chunk_size is None:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        texts, labels = _without_labels(self._prepare_inputs(inputs))

        def encode(chunk: Mapping[str, Tensor]) -> Tensor:
            with self.compute_loss_context_manager():
                return self._encode(model, chunk)

        def scaled_loss(vectors: Tensor) -> Tensor:
            return self._loss(vectors, labels) / self.current_gradient_accumulation_steps

        no_sync: Callable[[], Any] = partial(self.accelerator.no_sync, model)
        return cached_backward(encode, texts, scaled_loss, self.chunk_size, self.accelerator.backward, no_sync)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """CoSENT of a batch, its cosines ``[N]`` and its scores ``[N]``."""
        texts, labels = _without_labels(self._prepare_inputs(inputs))
        with torch.no_grad(), self.compute_loss_context_manager():
            vectors = self._encode(model, texts)
        cosines = torch.cosine_similarity(vectors[0::2], vectors[1::2])
        loss = None if labels is None else cosent_pair_loss(vectors, labels, self.scale)
        return (loss, None, None) if prediction_loss_only else (loss, cosines, labels)

    def _encode(self, model: nn.Module, texts: Mapping[str, Tensor]) -> Tensor:
        return encode_texts(model, texts, self.pooling, self.accelerator.unwrap_model(model))

    def _loss(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        everything = gather_rows(vectors)
        if labels is None:
            return simcse_loss(everything, self.scale)
        return cosent_pair_loss(everything, gather_rows(labels), self.scale)


def similarity_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Spearman's rank correlation of cosines and scores."""
    return {METRIC: spearman(prediction.predictions, prediction.label_ids)}


def _without_labels(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Tensor | None]:
    return {name: value for name, value in inputs.items() if name != "labels"}, inputs.get("labels")
