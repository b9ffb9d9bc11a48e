"""The paraphrase job: train a model that generates and retrieves paraphrases on files, score it, save it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoTokenizer,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_callback import ProgressCallback as DefaultProgressCallback

from hf_ext.atomic_file import atomic_write
from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.paraphrases import DataCollatorForParaphrase, ParaphraseDataset, read_paraphrases
from hf_ext.metrics.retrieval import paraphrase_retrieval_accuracy
from hf_ext.models.roformer.modeling_roformer import RoFormerForParaphrase
from hf_ext.models.roformer.sizes_roformer import config_of_size
from hf_ext.models.unilm_bert.modeling_unilm_bert import UniLMBertForParaphrase
from hf_ext.training.curves import plot_curves
from hf_ext.training.progress import ProgressCallback

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
class ParaphraseJob:
    """What to train on and what to start from.

    Attributes:
        train_file: sentences with synonyms, as :func:`hf_ext.data.paraphrases.read_paraphrases` takes them.
        validation_file: the same for evaluation: each text with its first synonym.
        model: checkpoint to fine-tune (RoFormer, SimBERT or BERT), a name on the Hub or a folder. Either this or
            ``config``.
        config: to train from scratch: the name of a size of RoFormer (``"small"``), the folder or file of a config, or
            the name of a repository on the Hub (``"org/name"``).
        tokenizer: name or folder; None: the model's, or for a new model the characters of the training sentences.
        max_length: most tokens of a pair.
        similarity_scale: what cosines are multiplied by; None: 20 for RoFormer, 30 for BERT.
    """

    train_file: Path
    validation_file: Path
    model: str | None = None
    config: str | None = None
    tokenizer: str | None = None
    max_length: int = 128
    similarity_scale: float | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.config is None):
            given = "neither" if self.model is None else "both"
            raise ValueError(f"give either model (to fine-tune) or config (to train from scratch), got {given}")
        if self.similarity_scale is not None and self.similarity_scale <= 0:
            raise ValueError(f"similarity_scale must be above 0, got {self.similarity_scale}")

    def load_tokenizer(self, examples: list[dict[str, Any]]) -> PreTrainedTokenizerBase:
        """The tokenizer that the job names, or one that cuts the sentences of ``examples`` into characters."""
        name = self.tokenizer or self.model
        if name:
            return AutoTokenizer.from_pretrained(name)
        return build_char_tokenizer(text for example in examples for text in (example["text"], *example["synonyms"]))

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
            name = str(self.config)
            fields = {**_FIELDS, **tokens, "vocab_size": len(tokenizer)}
            known = Path(name).exists() or "/" in name
            config: Any = AutoConfig.from_pretrained(name, **fields) if known else config_of_size(name, **fields)
            model = self._class_for(config)(config)
        longest = model.config.max_position_embeddings
        # Rotary positions have no end.
        if self.max_length > longest and not getattr(model.config, "rope_parameters", None):
            raise ValueError(f"max_length must be at most the model's {longest} positions, got {self.max_length}")
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
            ``retrieval_accuracy`` (:func:`~hf_ext.metrics.retrieval.paraphrase_retrieval_accuracy` over all validation
            pairs) and ``lm_loss`` (mean cross-entropy of their tokens).

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        train, validation = read_paraphrases(self.train_file), read_paraphrases(self.validation_file)
        for name, examples in (("train_file", train), ("validation_file", validation)):
            if not examples:
                raise ValueError(f"{name} must have sentences, got none in {getattr(self, name)}")
        tokenizer = self.load_tokenizer(train)
        model = self.load_model(tokenizer)
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=ParaphraseDataset(train),
            eval_dataset=ParaphraseDataset(validation, draw=False),
            processing_class=tokenizer,
            data_collator=DataCollatorForParaphrase(tokenizer, self.max_length),
            preprocess_logits_for_metrics=pair_outputs,
            compute_metrics=pair_metrics,
        )
        if not arguments.disable_tqdm:
            trainer.remove_callback(DefaultProgressCallback)
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(ProgressCallback(metric=METRIC))
        trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)
        measured = trainer.evaluate()
        scores = {name: measured[f"eval_{name}"] for name in (METRIC, "lm_loss")}
        trainer.save_model()
        trainer.save_state()
        if trainer.is_world_process_zero():
            output = Path(str(arguments.output_dir))
            with atomic_write(output / "scores.json") as file:
                json.dump(scores, file, indent=2)
            plot_curves(trainer.state.log_history, output / "curves.png", metric=METRIC)
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
