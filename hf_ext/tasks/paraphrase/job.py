"""The paraphrase job: train a model that generates and retrieves paraphrases on files, score it, save it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from hf_ext.data.input_limit import count_tokens
from hf_ext.metrics.comparison import Comparison
from hf_ext.models.roformer.modeling_roformer import RoFormerForParaphrase
from hf_ext.models.unilm_bert.modeling_unilm_bert import UniLMBertForParaphrase
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.paraphrase.files import DataCollatorForParaphrase, ParaphraseDataset, read_paraphrases
from hf_ext.tasks.paraphrase.metrics import nearest_sentences, paraphrase_retrieval_accuracy
from hf_ext.training.run_steps import predict_in_order

MODELS: dict[str, Any] = {
    "bert": UniLMBertForParaphrase,
    "roformer": RoFormerForParaphrase,
    "unilm_bert": UniLMBertForParaphrase,
}
"""The class that learns paraphrases, by the model type of the checkpoint to start from."""

# What makes a model of pairs out of an encoder.
_FIELDS = {"attention_mode": "unilm", "pooler_activation": "linear"}
METRIC = "retrieval_accuracy"


@dataclass
class ParaphraseJob(EncoderJob):
    """Generation and retrieval of paraphrases with one model: SimBERT, RoFormer-Sim.

    Files are as :func:`hf_ext.tasks.paraphrase.files.read_paraphrases` takes them; of the validation file each text
    is taken with its first synonym.
    """

    train_file: Path = option('JSON lines {"text", "synonyms": [...]}.', None, group="Files")
    model: str | None = option(
        "RoFormer, SimBERT or BERT to fine-tune: a name on the Hub or a folder. Either this or a config.",
        None,
        group="Start from",
    )
    max_length: int = option("Tokens of a pair.", 128, group="Lengths")
    similarity_scale: float | None = option(
        "Factor of cosines; else 20 for RoFormer and 30 for BERT.", None, group="Loss"
    )

    refused_methods: ClassVar[Mapping[str, str]] = {
        "r_drop": "the model makes logits where it is asked for tokens alone, and does not return them",
        "adversarial=vat": "the model makes logits where it is asked for tokens alone, and does not return them",
    }
    examples: ClassVar[str] = "sentences"
    metric: ClassVar[str] = METRIC
    command: ClassVar[str] = "paraphrase"
    defaults: ClassVar[Mapping[str, Any]] = {
        **EncoderJob.defaults,
        # Of both objectives: the epoch that retrieves best may not have learnt to write.
        "metric_for_best_model": "loss",
        # Rows are made of pairs drawn anew each time, so their lengths are not known beforehand.
        "train_sampling_strategy": "random",
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 32,
    }
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "num_train_epochs": 20}
    # Its length is that of a pair; the model embeds longer texts.
    saves_max_length: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.similarity_scale is not None and self.similarity_scale <= 0:
            raise ValueError(f"similarity_scale must be above 0, got {self.similarity_scale}")

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """A line of both objectives."""
        return [
            source,
            f"retrieval accuracy {scores['retrieval_accuracy']:.3f}, loss of a token {scores['lm_loss']:.3f}",
        ]

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> Any:
        """The model that the job names.

        Raises:
            ValueError: if it is of a family that does not learn paraphrases, or takes fewer tokens than ``max_length``.
        """
        tokens = {
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
        }
        if self.model is not None:
            model = self._class_for(AutoConfig.from_pretrained(self.model)).from_pretrained(
                self.model, **_FIELDS, **tokens
            )
        else:
            config = self.new_config(tokenizer, **_FIELDS, **tokens)
            model = self._class_for(config)(config)
        self.check_length(model)
        if self.similarity_scale is not None:
            model.similarity_scale = self.similarity_scale
        return model

    def open_trained(self) -> Any:
        """The model that the job names, as it was trained."""
        return self._class_for(AutoConfig.from_pretrained(str(self.model))).from_pretrained(self.model, **_FIELDS)

    @staticmethod
    def _class_for(config: Any) -> Any:
        if config.model_type not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {config.model_type}")
        return MODELS[config.model_type]

    def read(self) -> Files:
        """Sentences with synonyms."""
        return Files(read_paraphrases(self.train_file), self.read_evaluation(self.validation_file, ()))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Sentences with synonyms."""
        return read_paraphrases(path)

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The sentence and its synonyms."""
        return example["text"], *example["synonyms"]

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> ParaphraseDataset:
        """Each text with its first synonym; the collator makes tokens of them."""
        return ParaphraseDataset(examples, draw=False)

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also the dataset of training, in which pairs are drawn."""
        options = self.evaluation_options(tokenizer, model, arguments)
        return {**options, "train_dataset": ParaphraseDataset(files.train, seed=arguments.seed)}

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        return {
            "data_collator": DataCollatorForParaphrase(tokenizer, self.max_length),
            "preprocess_logits_for_metrics": pair_outputs,
            "compute_metrics": pair_metrics,
        }

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """What `pair_outputs` keeps of each text with its first synonym."""
        return predict_in_order(trainer, rows)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """Retrieval accuracy over all validation pairs, and mean cross-entropy of their tokens."""
        return pair_metrics(EvalPrediction(predictions=found, label_ids=found))

    def inputs_of(self, example: Mapping[str, Any]) -> Sequence[str]:
        """The sentence."""
        return (example["text"],)

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """Tokens of a sentence with its first synonym."""
        pairs = [(example["text"], example["synonyms"][0]) for example in examples]
        return {"max_length": (count_tokens(tokenizer, pairs), self.max_length)}

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The nearest sentence to a text beside its first synonym, or to this beside the text where only that fails.

        Worst are those where both fail; then by the loss of a token.
        """
        embeddings, sums = found
        pairs = [(example["text"], example["synonyms"][0]) for example in examples]
        comparisons = []
        for number, (pair, nearest) in enumerate(zip(pairs, nearest_sentences(embeddings).tolist())):
            right = [nearest[0] == 2 * number + 1, nearest[1] == 2 * number]
            loss, asked = (float(value) for value in sums[number])
            # The side to show.
            side = int(right[0] and not right[1])
            comparisons.append(
                Comparison(
                    {"text": pair[side]},
                    true=pair[1 - side],
                    found=pairs[nearest[side] // 2][nearest[side] % 2],
                    measures={METRIC: (sum(right), 2), "lm_loss": (loss, asked)},
                    badness=1e3 * (2 - sum(right)) + (loss / asked if asked else 0.0),
                )
            )
        return comparisons


def pair_outputs(outputs: Any, labels: Tensor) -> Any:
    """What Trainer keeps of an evaluation: a row for each pair, as its dataset has them.

    Args:
        outputs: of a paraphrase model, without the loss: ``lm_losses`` ``[2N]`` and ``pooler_output`` ``[2N, H]`` last.
        labels: ``[2N, L]``.

    Returns:
        Embeddings ``[N, 2, H]``, and ``[N, 2]`` of the sum of the pair's token losses and the number of tokens.
    """
    lm_losses, embeddings = outputs[-2:]
    counts = (labels[:, 1:] != -100).sum(-1)
    sums = torch.stack((lm_losses, counts.to(lm_losses.dtype)), dim=-1)
    return embeddings.float().unflatten(0, (-1, 2)), sums.unflatten(0, (-1, 2)).sum(1)


def pair_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Retrieval accuracy and loss of language modelling from what :func:`pair_outputs` kept."""
    embeddings, sums = tuple(prediction.predictions)
    loss, count = np.asarray(sums, dtype=np.float64).sum(0)
    return {METRIC: paraphrase_retrieval_accuracy(embeddings), "lm_loss": float(loss / count)}
