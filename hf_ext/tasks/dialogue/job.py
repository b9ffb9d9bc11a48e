"""Train a dialogue model on files, measure its perplexity, save it with its curves."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
    set_seed,
)

from hf_ext.metrics.perplexity import next_token_sums, perplexity_metrics
from hf_ext.models.gpt_cdial import CDialGPTConfig
from hf_ext.models.nezha import NezhaConfig
from hf_ext.models.roformer.sizes_roformer import SIZES
from hf_ext.tasks.base.job import EncoderJob
from hf_ext.tasks.dialogue.encoding import SPEAKERS, DataCollatorForDialogue, DialogueEncoder, speakers_of
from hf_ext.tasks.dialogue.files import read_dialogues
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.run_steps import measure_before, save_run, train_with_progress

_CONFIGS: dict[str, Any] = {"nezha": NezhaConfig, "gpt_cdial": CDialGPTConfig}


@dataclass
class DialogueJob(EncoderJob):
    """What to train on and what to start from.

    Attributes:
        train_file: dialogues, in a format of :func:`hf_ext.tasks.dialogue.read_dialogues`; of a file of splits,
            ``"train"``.
        validation_file: the same for evaluation; of a file of splits, ``"validation"``.
        model: checkpoint to fine-tune, a name on the Hub or a folder: NEZHA, also one that is not yet a decoder, or
            CDial-GPT. Either this or ``config``.
        config: to train from scratch: the name of a size (``"small"``), the folder or file of a config, or the name of
            a repository on the Hub (``"org/name"``).
        family: ``"nezha"`` or ``"gpt_cdial"``: what a model of a named size is.
        tokenizer: name or folder; None: the model's, or for a new model the characters of the training dialogues.
        max_length: tokens of a dialogue; a longer one loses its first turns. Saved with the tokenizer.
        train_on: ``"all"`` turns or the ``"last"``, as in :class:`hf_ext.tasks.dialogue.DialogueEncoder`.
    """

    family: str = "nezha"
    max_length: int = 256
    train_on: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family not in _CONFIGS:
            raise ValueError(f"family must be one of {', '.join(_CONFIGS)}, got {self.family!r}")

    def load_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """The tokenizer that the job names, or one that cuts ``texts`` into characters and has the speakers' tokens."""
        tokenizer = super().load_tokenizer(texts)
        if not (self.tokenizer or self.model):
            tokenizer.add_special_tokens({"extra_special_tokens": list(SPEAKERS)})
        return tokenizer

    def load_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
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
        if Path(name).exists() or "/" in name:
            config = AutoConfig.from_pretrained(name, **ids)
        elif name in SIZES:
            length = max(self.max_length, 512)
            config = _CONFIGS[self.family](
                **SIZES[name], **ids, attention_mode="causal", unpad=True, max_position_embeddings=length
            )
        else:
            raise ValueError(f"config must be a folder or one of the sizes {', '.join(SIZES)}, got {name!r}")
        speakers_of(config)
        return AutoModelForCausalLM.from_config(config)

    def run(self, arguments: TrainingArguments) -> dict[str, float]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json`` (perplexity and accuracy of the next token on the validation file) and
        ``curves.png``.

        Returns:
            ``perplexity`` and ``accuracy`` after training, and ``perplexity_before``.

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        train = read_dialogues(self.train_file, "train")
        validation = read_dialogues(self.validation_file, "validation")
        for name, dialogues in (("train_file", train), ("validation_file", validation)):
            self.check_examples(name, dialogues, "dialogues")
        tokenizer = self.load_tokenizer(turn for dialogue in train for turn in dialogue["turns"])
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model = self.load_model(tokenizer)
        encoder = DialogueEncoder.for_config(
            model.config, tokenizer, max_length=self.max_length, train_on=self.train_on
        )
        trainer = JobTrainer(
            model=model,
            args=arguments,
            train_dataset=encoder.encode_dataset(Dataset.from_list(train)),
            eval_dataset=encoder.encode_dataset(Dataset.from_list(validation)),
            processing_class=tokenizer,
            data_collator=DataCollatorForDialogue(tokenizer),
            compute_metrics=perplexity_metrics,
            preprocess_logits_for_metrics=next_token_sums,
        )
        before = measure_before(trainer, "perplexity")
        train_with_progress(trainer, "perplexity")
        metrics = trainer.evaluate()
        scores = {name: metrics[f"eval_{name}"] for name in ("perplexity", "accuracy")}
        scores["perplexity_before"] = before
        save_run(trainer, scores, "accuracy")
        return scores
