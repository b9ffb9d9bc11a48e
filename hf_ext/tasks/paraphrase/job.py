"""The paraphrase job: train a model that generates and retrieves paraphrases on files, score it, save it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    EvalPrediction,
    PreTrainedTokenizerBase,
    TrainingArguments,
    set_seed,
)

from hf_ext.models.roformer.modeling_roformer import RoFormerForParaphrase
from hf_ext.models.unilm_bert.modeling_unilm_bert import UniLMBertForParaphrase
from hf_ext.tasks.base.job import EncoderJob
from hf_ext.tasks.paraphrase.files import DataCollatorForParaphrase, ParaphraseDataset, read_paraphrases
from hf_ext.tasks.paraphrase.metrics import paraphrase_retrieval_accuracy
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.run_steps import save_run, train_with_progress

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
    """What to train on and what to start from.

    Attributes:
        train_file: sentences with synonyms, as :func:`hf_ext.tasks.paraphrase.files.read_paraphrases` takes them.
        validation_file: the same for evaluation: each text with its first synonym.
        model: checkpoint to fine-tune (RoFormer, SimBERT or BERT), a name on the Hub or a folder. Either this or
            ``config``.
        config: to train from scratch: the name of a size of RoFormer (``"small"``), the folder or file of a config, or
            the name of a repository on the Hub (``"org/name"``).
        tokenizer: name or folder; None: the model's, or for a new model the characters of the training sentences.
        max_length: most tokens of a pair.
        similarity_scale: what cosines are multiplied by; None: 20 for RoFormer, 30 for BERT.
    """

    similarity_scale: float | None = None

    # Its length is that of a pair; the model embeds longer texts.
    saves_max_length: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.similarity_scale is not None and self.similarity_scale <= 0:
            raise ValueError(f"similarity_scale must be above 0, got {self.similarity_scale}")

    def load_model(self, tokenizer: PreTrainedTokenizerBase) -> Any:
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

    @staticmethod
    def _class_for(config: Any) -> Any:
        if config.model_type not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {config.model_type}")
        return MODELS[config.model_type]

    def run(self, arguments: TrainingArguments) -> dict[str, float]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json`` and ``curves.png``.

        Returns:
            ``retrieval_accuracy`` (:func:`~hf_ext.tasks.paraphrase.paraphrase_retrieval_accuracy` over all
            validation pairs) and ``lm_loss`` (mean cross-entropy of their tokens).

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        train, validation = read_paraphrases(self.train_file), read_paraphrases(self.validation_file)
        for name, examples in (("train_file", train), ("validation_file", validation)):
            self.check_examples(name, examples, "sentences")
        tokenizer = self.load_tokenizer(text for example in train for text in (example["text"], *example["synonyms"]))
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model = self.load_model(tokenizer)
        trainer = JobTrainer(
            model=model,
            args=arguments,
            train_dataset=ParaphraseDataset(train, seed=arguments.seed),
            eval_dataset=ParaphraseDataset(validation, draw=False),
            processing_class=tokenizer,
            data_collator=DataCollatorForParaphrase(tokenizer, self.max_length),
            preprocess_logits_for_metrics=pair_outputs,
            compute_metrics=pair_metrics,
        )
        train_with_progress(trainer, METRIC)
        measured = trainer.evaluate()
        scores = {name: measured[f"eval_{name}"] for name in (METRIC, "lm_loss")}
        save_run(trainer, scores, METRIC)
        return scores


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
