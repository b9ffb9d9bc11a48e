"""Training on texts with verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from hf_ext.tasks.toy.files import read_verdicts
from hf_ext.tasks.toy.head import AutoModelForVerdict
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.training.run_steps import predict_in_order


@dataclass
class VerdictJob(EncoderJob):
    """Whether a text says something good."""

    verdict_bias: bool | None = option(
        "Whether the head has a bias; else it has, or as the model.", None, group="Head", config_field="verdict_bias"
    )

    command: ClassVar[str] = "toy"
    auto_class: ClassVar[Any] = AutoModelForVerdict
    metric: ClassVar[str] = "accuracy"
    defaults: ClassVar[Mapping[str, Any]] = {**EncoderJob.defaults, "metric_for_best_model": "accuracy"}

    def read(self) -> Files:
        """Texts with verdicts."""
        return Files(read_verdicts(self.train_file), self.read_evaluation(self.validation_file, ()))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Texts with verdicts."""
        return read_verdicts(path)

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """Any encoder with the head."""
        head = self.head_options(tokenizer)
        if self.model is None:
            return AutoModelForVerdict.from_config(self.new_config(tokenizer), **head)
        model = AutoModelForVerdict.from_pretrained(self.model, **head)
        self.check_length(model)
        return model

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """Rows of texts with their verdicts."""
        rows = tokenizer([example["text"] for example in examples], truncation=True, max_length=self.max_length)
        return Dataset.from_dict({**rows, "labels": [int(example["good"]) for example in examples]})

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""

        def accuracy(prediction: EvalPrediction) -> dict[str, float]:
            logits: Any = prediction.predictions
            return {"accuracy": float(((logits > 0) == prediction.label_ids).mean())}

        return {"data_collator": DataCollatorWithPadding(tokenizer), "compute_metrics": accuracy}

    def find(self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]) -> list[bool]:
        """The verdict on each text of the validation file."""
        return [bool(logit > 0) for logit in predict_in_order(trainer, rows)]

    def score(
        self, found: Sequence[bool], examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> dict[str, Any]:
        """The share of right verdicts."""
        right = [one == example["good"] for one, example in zip(found, examples)]
        return {"accuracy": sum(right) / len(right)}

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """The share of right verdicts."""
        return [f"accuracy {scores['accuracy']:.2f}"]
