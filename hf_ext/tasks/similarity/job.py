"""Sentence embeddings: train any encoder with CoSENT on scored pairs or with SimCSE on texts alone."""

from dataclasses import dataclass
from typing import Any

from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments, set_seed

from hf_ext.tasks.base.job import EncoderJob
from hf_ext.tasks.similarity.collator import DataCollatorForSimilarity
from hf_ext.tasks.similarity.files import read_text_pairs, read_texts_alone
from hf_ext.tasks.similarity.trainer import METRIC, SimilarityTrainer
from hf_ext.training.run_steps import measure_before, save_run, train_with_progress

LOSSES = ("cosent", "simcse")


@dataclass
class SimilarityJob(EncoderJob):
    """What to train on, what to start from, the loss and the pooling.

    The validation file has pairs with scores, in a format of :func:`hf_ext.tasks.similarity.read_text_pairs`, and so
    has the training file for CoSENT; for SimCSE it is read by :func:`hf_ext.tasks.similarity.read_texts_alone`.

    Attributes:
        loss: ``"cosent"`` or ``"simcse"``.
        pooling: ``"pooler"``, ``"cls"`` or ``"mean"``.
        scale: what cosines are multiplied by.
        chunk_size: texts that are run with a graph at a time; None: the whole batch.
        dropout: of hidden states and attention weights of the model, which SimCSE lives by; None: the model's own.
    """

    loss: str = "cosent"
    pooling: str = "mean"
    scale: float = 20.0
    chunk_size: int | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")

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
        before = measure_before(trainer, METRIC)
        train_with_progress(trainer, METRIC)
        scores = {METRIC: trainer.evaluate()[f"eval_{METRIC}"], f"{METRIC}_before": before}
        save_run(trainer, scores, METRIC)
        return scores
