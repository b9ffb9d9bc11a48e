"""Summarization: train an encoder-decoder on files, score what it writes, save it with its curves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Seq2SeqTrainingArguments,
    TrainingArguments,
    set_seed,
)

from hf_ext.atomic_file import atomic_write
from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.input_limit import check_input_length
from hf_ext.data.text_to_text import decode_summaries, encode_summaries
from hf_ext.models.t5_pegasus.sizes_t5_pegasus import config_of_size
from hf_ext.models.t5_pegasus.tokenization_t5_pegasus import MODEL_INPUT_NAMES
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.option import option
from hf_ext.tasks.summarization.files import read_summaries
from hf_ext.tasks.summarization.metrics import summary_metrics, summary_scores, summary_table
from hf_ext.training.job_trainer import JobSeq2SeqTrainer
from hf_ext.training.run_steps import predict_in_order, save_run, train_with_progress

METRIC = "rougeL"


@dataclass
class SummarizationJob(Job):
    """Summaries, titles, questions: text to text with T5-PEGASUS or another encoder-decoder.

    Files are in a format of :func:`hf_ext.tasks.summarization.read_summaries`.
    """

    train_file: Path = option("Texts with summaries: JSON lines, or summary, tab, text.", group="Files")
    model: str | None = option(
        "T5-PEGASUS, or any that AutoModelForSeq2SeqLM knows, to fine-tune: a name on the Hub or a folder. Either this "
        "or a config.",
        None,
        group="Start from",
    )
    max_source_length: int = option("Tokens of a text; what is beyond is cut off.", 512, group="Lengths")
    max_target_length: int = option(
        "Tokens of a summary, in training and in what the model writes.", 64, group="Lengths"
    )

    command: ClassVar[str] = "summarization"
    saved: ClassVar[str] = "the model, scores.json, summaries.jsonl and curves.png"
    arguments_class: ClassVar[type[TrainingArguments]] = Seq2SeqTrainingArguments
    defaults: ClassVar[Mapping[str, Any]] = {
        **Job.defaults,
        "metric_for_best_model": METRIC,
        "predict_with_generate": True,
        "per_device_eval_batch_size": 32,
    }
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "num_train_epochs": 20}
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4, "num_train_epochs": 5}

    def show(self, scores: Mapping[str, Any]) -> list[Any]:
        """The table of Rouge and BLEU."""
        return [summary_table(scores, title=str(self.validation_file))]

    def load_tokenizer(self, texts: Sequence[str]) -> PreTrainedTokenizerBase:
        """The tokenizer that the job names, or one that cuts ``texts`` into characters."""
        name = self.tokenizer or self.model
        if name:
            return AutoTokenizer.from_pretrained(name)
        return build_char_tokenizer(texts, model_input_names=list(MODEL_INPUT_NAMES))

    def load_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """The model that the job names.

        Raises:
            ValueError: if it takes fewer tokens than the job has, or has fewer embeddings than the tokenizer tokens.
        """
        if self.model is None:
            fields = {
                "vocab_size": len(tokenizer),
                "pad_token_id": tokenizer.pad_token_id,
                "decoder_start_token_id": tokenizer.cls_token_id,
                "eos_token_id": tokenizer.sep_token_id,
            }
            fields = {name: value for name, value in fields.items() if value is not None}
            name = str(self.config)
            known = Path(name).exists() or "/" in name
            config = AutoConfig.from_pretrained(name, **fields) if known else config_of_size(name, **fields)
            model = AutoModelForSeq2SeqLM.from_config(config)
        else:
            model = AutoModelForSeq2SeqLM.from_pretrained(self.model)
        embeddings = model.get_input_embeddings().num_embeddings
        if len(tokenizer) > embeddings:
            raise ValueError(f"tokenizer must have at most the model's {embeddings} tokens, got {len(tokenizer)}")
        for name, length in (("source", self.max_source_length), ("target", self.max_target_length)):
            check_input_length(length, model.config, f"max_{name}_length")
        return model

    def run(self, arguments: Seq2SeqTrainingArguments) -> dict[str, float]:
        """Train, evaluate by generation and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json``, ``summaries.jsonl`` (for each text of the validation file what the
        model wrote, beside its summary) and ``curves.png``.

        Returns:
            The scores on the validation file, as :func:`hf_ext.tasks.summarization.summary_scores` gives them.

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        train, validation = read_summaries(self.train_file), read_summaries(self.validation_file)
        for name, examples in (("train_file", train), ("validation_file", validation)):
            if not examples:
                raise ValueError(f"{name} must have texts with summaries, got none in {getattr(self, name)}")
        tokenizer = self.load_tokenizer([text for example in train for text in example.values()])
        tokenizer.model_max_length = self.max_source_length
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model: Any = self.load_model(tokenizer)
        self._set_generation(model, arguments)
        encoded_train, encoded_validation = (
            Dataset.from_list(
                encode_summaries(
                    examples,
                    tokenizer,
                    model.config.decoder_start_token_id,
                    self.max_source_length,
                    self.max_target_length,
                )
            )
            for examples in (train, validation)
        )
        trainer = JobSeq2SeqTrainer(
            model=model,
            args=arguments,
            train_dataset=encoded_train,
            eval_dataset=encoded_validation,
            processing_class=tokenizer,
            data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
            compute_metrics=summary_metrics(partial(decode_summaries, tokenizer)),
        )
        train_with_progress(trainer, METRIC)
        written = decode_summaries(tokenizer, predict_in_order(trainer, encoded_validation))
        scores = summary_scores(written, [example["summary"] for example in validation])
        save_run(trainer, scores, METRIC)
        if trainer.is_world_process_zero():
            with atomic_write(Path(str(arguments.output_dir)) / "summaries.jsonl") as file:
                for example, own in zip(validation, written):
                    file.write(json.dumps({"summary": example["summary"], "written": own}, ensure_ascii=False) + "\n")
        return scores

    def _set_generation(self, model: Any, arguments: Seq2SeqTrainingArguments) -> None:
        """Have the saved model write as the evaluated one did: so long, with so many beams."""
        # The scores are of what the model writes; without this they would be of what it says word for word.
        arguments.predict_with_generate = True
        # Counted with the token that the decoder starts with.
        model.generation_config.max_length = arguments.generation_max_length or self.max_target_length + 1
        if arguments.generation_num_beams:
            model.generation_config.num_beams = arguments.generation_num_beams
