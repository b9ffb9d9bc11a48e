"""Summarization: train an encoder-decoder on files, score what it writes, save it with its curves."""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)

from hf_ext.atomic_file import atomic_write
from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.input_limit import check_input_length, count_tokens
from hf_ext.data.model_name import is_checkpoint
from hf_ext.data.text_to_text import decode_summaries, encode_summaries
from hf_ext.metrics.comparison import Comparison
from hf_ext.models.t5_pegasus.sizes_t5_pegasus import config_of_size
from hf_ext.models.t5_pegasus.tokenization_t5_pegasus import MODEL_INPUT_NAMES
from hf_ext.tasks.base.job import Files, Job
from hf_ext.tasks.base.option import option
from hf_ext.tasks.summarization.files import read_summaries
from hf_ext.tasks.summarization.metrics import (
    each_summary_scores,
    import_scorers,
    summary_compute_metrics,
    summary_scores,
    summary_table,
)
from hf_ext.training.job_trainer import JobSeq2SeqTrainer, JobTrainer
from hf_ext.training.run_steps import predict_in_order

METRIC = "rougeL"


@dataclass
class SummarizationJob(Job):
    """Summaries, titles, questions: text to text with T5-PEGASUS or another encoder-decoder.

    Files are in a format of :func:`hf_ext.tasks.summarization.read_summaries`.
    """

    train_file: Path = option("Texts with summaries: JSON lines, or summary, tab, text.", None, group="Files")
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

    refused_methods: ClassVar[Mapping[str, str]] = {"unlabelled_file": "the model reads a summary along with its text"}
    auto_class: ClassVar[Any] = AutoModelForSeq2SeqLM
    examples: ClassVar[str] = "texts with summaries"
    metric: ClassVar[str] = METRIC
    trainer_class: ClassVar[type[JobTrainer]] = JobSeq2SeqTrainer
    of_evaluation: ClassVar[tuple[str, ...]] = ("max_source_length", "max_target_length")
    command: ClassVar[str] = "summarization"
    written: ClassVar[tuple[str, ...]] = ("summaries.jsonl",)
    arguments_class: ClassVar[type[TrainingArguments]] = Seq2SeqTrainingArguments
    defaults: ClassVar[Mapping[str, Any]] = {
        **Job.defaults,
        "metric_for_best_model": METRIC,
        "predict_with_generate": True,
        "per_device_eval_batch_size": 32,
    }
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "num_train_epochs": 20}
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4, "num_train_epochs": 5}

    def __post_init__(self) -> None:
        super().__post_init__()
        import_scorers()

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """The table of Rouge and BLEU."""
        return [summary_table(scores, title=source)]

    @property
    def text_length(self) -> int:
        """Most tokens of a text, which the tokenizer is saved with."""
        return self.max_source_length

    def read(self) -> Files:
        """Texts with summaries."""
        return Files(read_summaries(self.train_file), self.read_evaluation(self.validation_file, ()))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Texts with summaries."""
        return read_summaries(path)

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The text and its summary."""
        return example.values()

    def new_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """A tokenizer that cuts ``texts`` into characters, and gives what an encoder-decoder takes."""
        return build_char_tokenizer(texts, model_input_names=list(MODEL_INPUT_NAMES))

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
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
            make: Any = AutoConfig.from_pretrained if is_checkpoint(name) else config_of_size
            config = make(name, **fields)
            model = AutoModelForSeq2SeqLM.from_config(config)
        else:
            model = AutoModelForSeq2SeqLM.from_pretrained(self.model)
        embeddings = model.get_input_embeddings().num_embeddings
        if len(tokenizer) > embeddings:
            raise ValueError(f"tokenizer must have at most the model's {embeddings} tokens, got {len(tokenizer)}")
        for name, length in (("source", self.max_source_length), ("target", self.max_target_length)):
            check_input_length(length, model.config, f"max_{name}_length")
        return model

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """Rows of texts and of their summaries."""
        config: Any = model.config
        start, lengths = config.decoder_start_token_id, (self.max_source_length, self.max_target_length)
        return Dataset.from_list(encode_summaries(examples, tokenizer, start, *lengths))

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """What an evaluation needs, once it is settled how the model writes."""
        self._set_generation(model, arguments)
        return self.evaluation_options(tokenizer, model, arguments)

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics, which are of what the model writes."""
        # The scores are of what the model writes; without this they would be of what it says word for word.
        seq2seq: Any = arguments
        seq2seq.predict_with_generate = True
        return {
            "data_collator": DataCollatorForSeq2Seq(tokenizer, model=model),
            "compute_metrics": summary_compute_metrics(partial(decode_summaries, tokenizer)),
        }

    def find(self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]) -> list[str]:
        """What the model writes of each text."""
        tokenizer: Any = trainer.processing_class
        return decode_summaries(tokenizer, predict_in_order(trainer, rows))

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """:func:`hf_ext.tasks.summarization.summary_scores`."""
        return summary_scores(found, [example["summary"] for example in examples])

    def inputs_of(self, example: Mapping[str, Any]) -> Sequence[str]:
        """The text."""
        return (example["text"],)

    def answer_of(self, example: Mapping[str, Any]) -> Hashable:
        """The summary."""
        return example["summary"]

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """Tokens of texts and of summaries."""
        limits = {"text": ("max_source_length", self.max_source_length)}
        limits["summary"] = ("max_target_length", self.max_target_length)
        return {
            option: (count_tokens(tokenizer, [(example[name],) for example in examples]), limit)
            for name, (option, limit) in limits.items()
        }

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """What the model wrote of each text beside its summary; worst have the least Rouge-L."""
        true = [example["summary"] for example in examples]
        return [
            Comparison(
                {"text": example["text"]},
                true=example["summary"],
                found=written,
                measures={name: (value, 1) for name, value in scores.items()},
                badness=1 - scores[METRIC],
            )
            for example, written, scores in zip(examples, found, each_summary_scores(found, true))
        ]

    def write(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel, folder: Path) -> None:
        """Write ``summaries.jsonl``: for each text what the model wrote, beside its summary."""
        with atomic_write(folder / "summaries.jsonl") as file:
            for example, own in zip(examples, found):
                file.write(json.dumps({"summary": example["summary"], "written": own}, ensure_ascii=False) + "\n")

    def _set_generation(self, model: Any, arguments: Any) -> None:
        """Have the saved model write as the evaluated one did: so long, with so many beams."""
        # Counted with the token that the decoder starts with.
        model.generation_config.max_length = arguments.generation_max_length or self.max_target_length + 1
        if arguments.generation_num_beams:
            model.generation_config.num_beams = arguments.generation_num_beams
