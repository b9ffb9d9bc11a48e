"""Train a dialogue model on files, measure its perplexity, save it with its curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from hf_ext.data.input_limit import count_tokens
from hf_ext.data.model_name import is_checkpoint
from hf_ext.metrics.comparison import Comparison
from hf_ext.metrics.perplexity import next_token_sums, perplexity_metrics
from hf_ext.models.gpt_cdial import CDialGPTConfig
from hf_ext.models.nezha import NezhaConfig
from hf_ext.models.roformer.sizes_roformer import SIZES
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.dialogue.collator import DataCollatorForDialogue
from hf_ext.tasks.dialogue.encoding import SPEAKERS, DialogueEncoder, speakers_of
from hf_ext.tasks.dialogue.files import read_dialogues
from hf_ext.training.divergences import Divergence, clean_next_token_divergence, next_token_divergence
from hf_ext.training.run_steps import predict_in_order

_CONFIGS: dict[str, Any] = {"nezha": NezhaConfig, "gpt_cdial": CDialGPTConfig}


@dataclass
class DialogueJob(EncoderJob):
    """Multi-turn dialogue, scored by the perplexity of held-out dialogues.

    Files are in a format of :func:`hf_ext.tasks.dialogue.read_dialogues`; of a file of splits, ``"train"`` and
    ``"validation"`` are read, and ``"test"`` to be scored last.
    """

    train_file: Path = option('Dialogues: JSON lines {"turns": [...]}, or as LCCC or KdConv.', None, group="Files")
    model: str | None = option(
        "NEZHA, also one that is not yet a decoder, or CDial-GPT to fine-tune: a name on the Hub or a folder. Either "
        "this or a config.",
        None,
        group="Start from",
    )
    family: str | None = option(
        "What a config by the name of its size is; else nezha.", None, group="Start from", choices=_CONFIGS
    )
    max_length: int = option(
        "Tokens of a dialogue; a longer one loses its first turns. Saved with the tokenizer.", 256, group="Lengths"
    )
    train_on: Literal["all", "last"] | None = option(
        "All turns or the last; else all for NEZHA, the last for CDial-GPT.", None, group="Loss"
    )

    divergence: ClassVar[Divergence] = staticmethod(next_token_divergence)
    clean_divergence: ClassVar[Divergence] = staticmethod(clean_next_token_divergence)
    refused_methods: ClassVar[Mapping[str, str]] = {
        "unlabelled_file": "the labels of a dialogue are its own words, so that any can stand in the training file"
    }
    auto_class: ClassVar[Any] = AutoModelForCausalLM
    examples: ClassVar[str] = "dialogues"
    metric: ClassVar[str] = "perplexity"
    plotted_metric: ClassVar[str | None] = "accuracy"
    evaluates_first: ClassVar[bool] = True
    of_evaluation: ClassVar[tuple[str, ...]] = ("max_length", "train_on")
    command: ClassVar[str] = "dialogue"
    next_steps: ClassVar[tuple[str, ...]] = ("chat {output_dir}", *EncoderJob.next_steps[1:])
    defaults: ClassVar[Mapping[str, Any]] = {
        **EncoderJob.defaults,
        "metric_for_best_model": "perplexity",
        "greater_is_better": False,
        # The scores of all tokens are as many as a batch has tokens times the vocabulary.
        "per_device_eval_batch_size": 16,
    }
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-5, "num_train_epochs": 5}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family is None:
            return
        if self.family not in _CONFIGS:
            raise ValueError(f"family must be one of {', '.join(_CONFIGS)}, got {self.family!r}")
        if self.config not in SIZES:
            raise ValueError(
                f"family goes with a config by the name of its size ({', '.join(SIZES)}), got {self.family!r} with "
                + (f"model={self.model!r}" if self.config is None else f"config={self.config!r}")
            )

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """A line of perplexities and accuracy."""
        before = f" (before training {scores['perplexity_before']:.2f})" if "perplexity_before" in scores else ""
        return [
            source,
            f"perplexity {scores['perplexity']:.2f}{before}, accuracy of the next token {scores['accuracy']:.4f}",
        ]

    def read(self) -> Files:
        """Dialogues."""
        return Files(read_dialogues(self.train_file, "train"), read_dialogues(self.validation_file, "validation"))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Dialogues; of a file of splits, those of ``"test"``."""
        return read_dialogues(path, "test")

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The turns."""
        return example["turns"]

    def new_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """A tokenizer that cuts ``texts`` into characters and has the speakers' tokens."""
        tokenizer = super().new_tokenizer(texts)
        tokenizer.add_special_tokens({"extra_special_tokens": list(SPEAKERS)})
        return tokenizer

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names.

        Raises:
            ValueError: if it is none for dialogue, or its tokens are not the tokenizer's.
        """
        ids = {
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
        }
        if self.model is not None:
            config = AutoConfig.from_pretrained(self.model, **ids)
            if getattr(config, "attention_mode", "causal") in (None, "bidirectional"):
                config.attention_mode = "causal"
            speakers_of(config)
            if len(tokenizer) > config.vocab_size:
                raise ValueError(
                    f"tokenizer must have at most the model's {config.vocab_size} tokens, got {len(tokenizer)}"
                )
            return AutoModelForCausalLM.from_pretrained(self.model, config=config)
        ids["vocab_size"] = len(tokenizer)
        name = str(self.config)
        if is_checkpoint(name):
            config = AutoConfig.from_pretrained(name, **ids)
        elif name in SIZES:
            length = max(self.max_length, 512)
            config = _CONFIGS[self.family or "nezha"](
                **SIZES[name], **ids, attention_mode="causal", unpad=True, max_position_embeddings=length
            )
        else:
            raise ValueError(f"config must be a folder or one of the sizes {', '.join(SIZES)}, got {name!r}")
        speakers_of(config)
        return AutoModelForCausalLM.from_config(config)

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """A row for each dialogue."""
        options = {"max_length": self.max_length, "train_on": self.train_on}
        encoder = DialogueEncoder.for_config(model.config, tokenizer, **options)
        return encoder.encode_dataset(Dataset.from_list([dict(example) for example in examples]))

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        return {
            "data_collator": DataCollatorForDialogue(tokenizer),
            "compute_metrics": perplexity_metrics,
            "preprocess_logits_for_metrics": next_token_sums,
        }

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Of each dialogue what `next_token_sums` gives: loss, number of tokens that are right, and of all."""
        return predict_in_order(trainer, rows)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """Perplexity and accuracy of the next token."""
        return perplexity_metrics(EvalPrediction(predictions=found, label_ids=found))

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """Tokens of a dialogue, of which each turn has one more than its text, and the whole one more."""
        special = tokenizer.num_special_tokens_to_add()
        turns = iter(count_tokens(tokenizer, [(turn,) for example in examples for turn in example["turns"]]))
        counts = [1 + sum(next(turns) - special + 1 for _ in example["turns"]) for example in examples]
        return {"max_length": (counts, self.max_length)}

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The loss of a token of each dialogue, the greatest first."""
        return [
            Comparison(
                {"turns": "\n".join(example["turns"])},
                measures={"loss": (loss, asked), "accuracy": (right, asked)},
                badness=loss / asked if asked else 0.0,
            )
            for example, (loss, right, asked) in zip(examples, found.tolist())
        ]
