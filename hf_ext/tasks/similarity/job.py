"""Sentence embeddings: train any encoder with CoSENT on scored pairs or with SimCSE on texts alone."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from hf_ext.data.input_limit import count_tokens
from hf_ext.losses.rows import check_at_least
from hf_ext.metrics.comparison import Comparison
from hf_ext.ops.pooling import POOLINGS
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.similarity.collator import DataCollatorForSimilarity
from hf_ext.tasks.similarity.files import read_text_pairs, read_texts_alone
from hf_ext.tasks.similarity.metrics import relative_ranks, spearman
from hf_ext.tasks.similarity.trainer import METRIC, SimilarityTrainer
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.run_steps import predict_in_order

LOSSES = ("cosent", "simcse")
# Of heads, which are not trained here.
_OF_HEADS = ("classif", "qa", "summary", "lm_head")


@dataclass
class SimilarityJob(EncoderJob):
    """Sentence embeddings whose cosines say how alike two texts are.

    The validation file has pairs with scores, in a format of :func:`hf_ext.tasks.similarity.read_text_pairs`, and so
    has the training file for CoSENT; for SimCSE it is read by :func:`hf_ext.tasks.similarity.read_texts_alone`.
    """

    train_file: Path = option(
        'JSON lines {"text1", "text2", "score"} or three columns; for SimCSE texts alone as well.', None, group="Files"
    )
    validation_file: Path = option("Pairs with scores, to evaluate on.", None, group="Files")
    max_length: int = option("Tokens of a text; what is beyond is cut off.", 128, group="Lengths")
    loss: str = option("CoSENT, or SimCSE, which needs texts alone.", "cosent", group="Loss", choices=LOSSES)
    pooling: str = option(
        "What of the tokens' vectors is that of a text.",
        "mean",
        group="Loss",
        choices=POOLINGS,
        config_field="embedding_pooling",
    )
    scale: float = option("Factor of cosines.", 20.0, group="Loss")
    chunk_size: int | None = option(
        "Texts run at a time in training, whatever the size of the batch; else the whole batch.", None, group="Loss"
    )
    dropout: float | None = option(
        "Dropout wherever the encoder has it, in attention too, which SimCSE lives by; else its own.",
        None,
        group="Loss",
    )
    max_texts: int | None = option(
        "With simcse: learn from at most so many of the texts, drawn by the seed; else from all.", None, group="Loss"
    )
    texts_of: str = option(
        "With simcse: learn from the texts of the training file, or of all files, those to be scored on too, as the "
        "articles do.",
        "train",
        group="Loss",
        choices=("train", "all"),
    )

    refused_methods: ClassVar[Mapping[str, str]] = {
        "r_drop": "a text has a vector here, and no distribution",
        "adversarial=vat": "a text has a vector here, and no distribution",
    }
    auto_class: ClassVar[Any] = AutoModel
    metric: ClassVar[str] = METRIC
    trainer_class: ClassVar[type[JobTrainer]] = SimilarityTrainer
    evaluates_first: ClassVar[bool] = True
    of_evaluation: ClassVar[tuple[str, ...]] = ("max_length", "pooling")
    next_steps: ClassVar[tuple[str, ...]] = (
        "embed {output_dir} --input FILE --output vectors.npy",
        *EncoderJob.next_steps[1:],
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
        if self.max_texts is not None:
            check_at_least("max_texts", self.max_texts, 2)
            if self.loss != "simcse":
                raise ValueError(f"max_texts goes with loss=simcse, got {self.max_texts} with {self.loss}")
        if self.texts_of not in ("train", "all"):
            raise ValueError(f"texts_of must be one of train, all, got {self.texts_of!r}")
        if self.texts_of != "train" and self.loss != "simcse":
            raise ValueError(f"texts_of goes with loss=simcse, got {self.texts_of} with {self.loss}")
        if self.adversarial is not None and self.chunk_size is not None:
            raise ValueError(
                f"chunk_size must be left out with adversarial={self.adversarial}, which needs the graph of the whole "
                f"batch, got {self.chunk_size}"
            )
        if self.chunk_size is not None and self.penalty is not None:
            raise ValueError(
                f"chunk_size must be left out with penalty, which a loss of chunks does not have, got {self.chunk_size}"
            )

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """A line of the correlation."""
        before = f", before training {scores['spearman_before']:.4f}" if "spearman_before" in scores else ""
        return [source, f"Spearman {scores['spearman']:.4f}{before}"]

    def read(self) -> Files:
        """Pairs of texts with scores; for SimCSE, of training, texts alone."""
        scored = [file for file in (self.validation_file, self.test_file) if file is not None]
        texts = [self.train_file, *(scored if self.texts_of == "all" else ())]
        train: list[dict[str, Any]] = (
            read_text_pairs(self.train_file)
            if self.loss == "cosent"
            # A text and itself: dropout makes two of it.
            else [{"text1": text, "text2": text} for text in read_texts_alone(*texts)]
        )
        validation = self.read_evaluation(self.validation_file, ())
        for name, examples in (("train_file", train), ("validation_file", validation)):
            self.check_examples(name, examples)
            if "score" in examples[0] and len({example["score"] for example in examples}) < 2:
                raise ValueError(f"{name} must have at least two different scores, got one in {getattr(self, name)}")
        return Files(train, validation)

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Pairs of texts with scores."""
        return read_text_pairs(path)

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """Both texts."""
        return example["text1"], example["text2"]

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The encoder that the job names.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``, or has no dropout to change.
        """
        fields: dict[str, Any] = {}
        if self.dropout is not None:
            config = self.new_config(tokenizer) if self.model is None else AutoConfig.from_pretrained(self.model)
            fields = dict.fromkeys(dropouts_of(config), self.dropout)
            if not fields:
                raise ValueError(
                    f"dropout must be left out for a model whose config has none, got {self.dropout} for "
                    f"{config.model_type}"
                )
        return self.open_model(self.auto_class, tokenizer, fields)

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Sequence[Mapping[str, Any]]:
        """The pairs themselves: the collator makes tokens of them."""
        return examples

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also the texts that are drawn."""
        options = super().trainer_options(tokenizer, model, files, arguments)
        if self.max_texts is not None and self.max_texts < len(files.train):
            drawn = np.random.default_rng(arguments.seed).choice(len(files.train), self.max_texts, replace=False)
            options["train_dataset"] = [files.train[index] for index in drawn.tolist()]
        return options

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator, pooling and the options of the loss."""
        return {
            "data_collator": DataCollatorForSimilarity(tokenizer, self.max_length),
            "pooling": self.pooling,
            "scale": self.scale,
            "chunk_size": self.chunk_size,
        }

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """The cosine of each pair."""
        return predict_in_order(trainer, rows)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """The rank correlation."""
        return {METRIC: spearman(found, [example["score"] for example in examples])}

    def answer_of(self, example: Mapping[str, Any]) -> Hashable:
        """The score."""
        return example.get("score")

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """Tokens of the longer text of a pair: they are read one by one."""
        sides = [count_tokens(tokenizer, [(example[name],) for example in examples]) for name in ("text1", "text2")]
        return {"max_length": ([max(pair) for pair in zip(*sides)], self.max_length)}

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The cosine of each pair beside its score; worst are those whose ranks are furthest apart."""
        scores = [example["score"] for example in examples]
        ranks = relative_ranks(scores), relative_ranks(found)
        return [
            Comparison(
                {"text1": example["text1"], "text2": example["text2"]},
                true=f"score {example['score']:g}, rank {100 * true:.0f}%",
                found=f"cosine {cosine:.3f}, rank {100 * seen:.0f}%",
                measures={"rank_difference": (abs(true - seen), 1)},
                badness=abs(true - seen),
            )
            for example, cosine, true, seen in zip(examples, np.asarray(found).tolist(), *ranks)
        ]


def dropouts_of(config: PreTrainedConfig) -> list[str]:
    """The fields of a config that say how much of an encoder's hidden states, attention or embeddings is dropped."""
    values = config.to_dict()
    return [
        name
        for name, value in values.items()
        if "dropout" in name
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and not any(part in name for part in _OF_HEADS)
    ]
