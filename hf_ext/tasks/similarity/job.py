"""Sentence embeddings: train any encoder with CoSENT on scored pairs or with SimCSE on texts alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hf_ext.losses import cosent_pair_loss, simcse_loss
from hf_ext.losses.rows import check_positive
from hf_ext.ops.gather import gather_rows
from hf_ext.ops.pooling import POOLINGS, text_vectors
from hf_ext.tasks.base.job import EncoderJob
from hf_ext.tasks.base.option import option
from hf_ext.tasks.similarity.files import read_text_pairs, read_texts_alone
from hf_ext.tasks.similarity.metrics import spearman
from hf_ext.training.gradient_cache import cached_backward
from hf_ext.training.run_steps import save_run, train_with_progress

LOSSES = ("cosent", "simcse")
METRIC = "spearman"


@dataclass
class DataCollatorForSimilarity:
    """Makes a batch of N pairs: rows 2i and 2i+1 are the two texts of a pair.

    Args:
        tokenizer: of the model.
        max_length: most tokens of a text; what is beyond is cut off.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int = 128

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Model inputs ``[2N, L]`` of ``{"text1", "text2"}``, and ``labels`` ``[N]`` if they have a ``"score"``."""
        texts = [text for example in examples for text in (example["text1"], example["text2"])]
        batch: Any = self.tokenizer(
            texts, truncation=True, max_length=self.max_length, padding=True, return_tensors="pt"
        )
        if "score" not in examples[0]:
            return {**batch}
        return {**batch, "labels": torch.tensor([example["score"] for example in examples], dtype=torch.float32)}


class SimilarityTrainer(Trainer):
    """Trainer of an encoder whose loss compares the vectors of a whole batch, over all processes.

    Batches are those of :class:`DataCollatorForSimilarity`; a batch with ``labels`` is learnt by CoSENT, one without
    by SimCSE. Gradient accumulation averages the losses of its micro-batches, which is not the loss of a larger batch;
    ``chunk_size`` gives that in the same memory. Evaluation gives cosines and scores of the pairs, each ``[N]``.

    Args:
        pooling: ``"pooler"``, ``"cls"`` or ``"mean"``; written to ``config.embedding_pooling``, where the pipeline
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
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
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
        return text_vectors(model(**texts), texts.get("attention_mask"), self.pooling)

    def _loss(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        everything = gather_rows(vectors)
        if labels is None:
            return simcse_loss(everything, self.scale)
        return cosent_pair_loss(everything, gather_rows(labels), self.scale)


@dataclass
class SimilarityJob(EncoderJob):
    """Sentence embeddings whose cosines say how alike two texts are.

    The validation file has pairs with scores, in a format of :func:`hf_ext.tasks.similarity.read_text_pairs`, and so
    has the training file for CoSENT; for SimCSE it is read by :func:`hf_ext.tasks.similarity.read_texts_alone`.
    """

    train_file: Path = option(
        'JSON lines {"text1", "text2", "score"} or three columns; for SimCSE texts alone as well.', group="Files"
    )
    validation_file: Path = option("Pairs with scores, to evaluate on.", group="Files")
    max_length: int = option("Tokens of a text; what is beyond is cut off.", 128, group="Lengths")
    loss: str = option("CoSENT, or SimCSE, which needs texts alone.", "cosent", group="Loss", choices=LOSSES)
    pooling: str = option("What of the tokens' vectors is that of a text.", "mean", group="Loss", choices=POOLINGS)
    scale: float = option("Factor of cosines.", 20.0, group="Loss")
    chunk_size: int | None = option(
        "Texts run at a time in training, whatever the size of the batch; else the whole batch.", None, group="Loss"
    )
    dropout: float | None = option(
        "Dropout of the encoder's hidden states and attention, which SimCSE lives by; else its own.", None, group="Loss"
    )

    command: ClassVar[str] = "similarity"
    defaults: ClassVar[Mapping[str, Any]] = {
        **EncoderJob.defaults,
        "metric_for_best_model": "spearman",
        "greater_is_better": True,
        # Batches of texts of like length would be told apart by that.
        "train_sampling_strategy": "random",
        "per_device_train_batch_size": 64,
    }
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-4, "num_train_epochs": 10}
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-5, "num_train_epochs": 5}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")

    def show(self, scores: Mapping[str, Any]) -> list[Any]:
        """A line of the correlation."""
        return [f"Spearman {scores['spearman']:.4f}, before training {scores['spearman_before']:.4f}"]

    def load_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """The encoder that the job names.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``.
        """
        fields: dict[str, Any] = {}
        if self.dropout is not None:
            fields = {"hidden_dropout_prob": self.dropout, "attention_probs_dropout_prob": self.dropout}
        if self.model is None:
            return AutoModel.from_config(self.new_config(tokenizer, **fields))
        model = AutoModel.from_pretrained(self.model, **fields)
        self.check_length(model)
        return model

    def run(self, arguments: TrainingArguments) -> dict[str, float]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the encoder: ``scores.json`` and ``curves.png``. ``pipeline("text-embedding")`` pools as in
        training.

        Returns:
            ``spearman``, the rank correlation of the cosines of the validation pairs with their scores, and
            ``spearman_before``, that of the encoder before training.

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        train: list[dict[str, Any]] = (
            read_text_pairs(self.train_file)
            if self.loss == "cosent"
            # A text and itself: dropout makes two of it.
            else [{"text1": text, "text2": text} for text in read_texts_alone(self.train_file)]
        )
        validation = read_text_pairs(self.validation_file)
        for name, examples in (("train_file", train), ("validation_file", validation)):
            self.check_examples(name, examples)
            if "score" in examples[0] and len({example["score"] for example in examples}) < 2:
                raise ValueError(f"{name} must have at least two different scores, got one in {getattr(self, name)}")
        tokenizer = self.load_tokenizer(text for example in train for text in (example["text1"], example["text2"]))
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        trainer = SimilarityTrainer(
            model=self.load_model(tokenizer),
            args=arguments,
            train_dataset=train,
            eval_dataset=validation,
            processing_class=tokenizer,
            data_collator=DataCollatorForSimilarity(tokenizer, self.max_length),
            pooling=self.pooling,
            scale=self.scale,
            chunk_size=self.chunk_size,
        )
        before = trainer.evaluate()[f"eval_{METRIC}"]
        train_with_progress(trainer, METRIC)
        scores = {METRIC: trainer.evaluate()[f"eval_{METRIC}"], f"{METRIC}_before": before}
        save_run(trainer, scores, METRIC)
        return scores


def similarity_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Spearman's rank correlation of cosines and scores."""
    return {METRIC: spearman(prediction.predictions, prediction.label_ids)}


def _without_labels(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Tensor | None]:
    return {name: value for name, value in inputs.items() if name != "labels"}, inputs.get("labels")
