"""The job of `hf-ext train reading-comprehension`: find the answers to questions in their texts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments, set_seed

from hf_ext.atomic_file import atomic_write
from hf_ext.tasks.base.auto_class import AutoModelForReadingComprehension
from hf_ext.tasks.base.job import EncoderJob
from hf_ext.tasks.reading_comprehension.answers import best_answer, decode_answer_dataset
from hf_ext.tasks.reading_comprehension.encoding import DataCollatorForReadingComprehension, ReadingEncoder
from hf_ext.tasks.reading_comprehension.files import read_questions
from hf_ext.tasks.reading_comprehension.metrics import reading_metrics, reading_scores
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.run_steps import predict_in_order, save_run, train_with_progress


@dataclass
class ReadingComprehensionJob(EncoderJob):
    """What to train on and what to start from.

    Files are in a format of :func:`hf_ext.tasks.reading_comprehension.read_questions`.

    Attributes:
        stride: tokens that two windows of a long text share; None: see `ReadingEncoder`.
        max_question_length: tokens of a question, what is beyond is cut off; None: see `ReadingEncoder`.
        null_threshold: there is no answer where it scores more than this above the best one; saved with the model.
            None: that of ``model``, or 0 if the training file has questions without an answer; else there always is
            one.
        head_options: fields of the head, such as ``answer_head`` and ``max_answer_tokens``.
    """

    max_length: int = 512
    stride: int | None = None
    max_question_length: int | None = None
    null_threshold: float | None = None
    head_options: Mapping[str, Any] = field(default_factory=dict)

    def load_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """The model that the job names.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``.
        """
        head = {name: value for name, value in self.head_options.items() if value is not None}
        if self.model is None:
            return AutoModelForReadingComprehension.from_config(self.new_config(tokenizer), **head)
        model = AutoModelForReadingComprehension.from_pretrained(self.model, **head)
        self.check_length(model)
        return model

    def run(self, arguments: TrainingArguments) -> dict[str, Any]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json``, ``curves.png``, ``predictions.json`` (the answer by the question's
        id, as CMRC2018's and SQuAD's scripts read it) and ``nbest_predictions.json`` (the ranked answers).

        Returns:
            The scores on the validation file: :func:`hf_ext.tasks.reading_comprehension.reading_scores`.

        Raises:
            ValueError: if a file or an option cannot be used.
        """
        train, validation = read_questions(self.train_file), read_questions(self.validation_file)
        for name, examples in (("train_file", train), ("validation_file", validation)):
            self.check_examples(name, examples, "questions")
        if not any(answer["start"] >= 0 for example in train for answer in example["answers"]):
            raise ValueError(f"train_file must have an answer that is in its text, got none in {self.train_file}")
        tokenizer = self.load_tokenizer(example[name] for example in train for name in ("question", "context"))
        encoder = ReadingEncoder(tokenizer, self.max_length, self.stride, self.max_question_length)
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model = self.load_model(tokenizer)
        config: Any = model.config
        if self.null_threshold is not None:
            config.null_threshold = self.null_threshold
        elif config.null_threshold is None and not all(example["answers"] for example in train):
            config.null_threshold = 0.0
        rows = [encoder.encode_dataset(Dataset.from_list(examples)) for examples in (train, validation)]
        trainer = JobTrainer(
            model=model,
            args=arguments,
            train_dataset=rows[0],
            eval_dataset=rows[1],
            processing_class=tokenizer,
            data_collator=DataCollatorForReadingComprehension(tokenizer),
            compute_metrics=reading_metrics(config.null_threshold),
        )
        train_with_progress(trainer, "f1")
        contexts = [example["context"] for example in validation]
        ranked = decode_answer_dataset(
            predict_in_order(trainer, rows[1]),
            rows[1],
            contexts,
            config.answer_top_k,
            config.null_threshold is not None,
        )
        answers = [best_answer(own, config.null_threshold) for own in ranked]
        references = [[answer["text"] for answer in example["answers"]] for example in validation]
        scores = reading_scores(answers, references)
        save_run(trainer, scores, "f1")
        if trainer.is_world_process_zero():
            output = Path(str(arguments.output_dir))
            _write(output / "predictions.json", validation, answers)
            _write(output / "nbest_predictions.json", validation, ranked)
        return scores


def _write(path: Path, examples: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> None:
    """Write what belongs to each question, by its id."""
    with atomic_write(path) as file:
        json.dump(
            {example["id"]: value for example, value in zip(examples, values)}, file, ensure_ascii=False, indent=1
        )
