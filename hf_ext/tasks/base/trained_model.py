"""A trained model with a file to run it on, for all that is found out about it without training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainingArguments

from hf_ext.tasks.base.data_source import file_of_lines
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.run_steps import for_evaluation, show_progress

if TYPE_CHECKING:
    from hf_ext.tasks.base.job import Job


def evaluating_trainer(job: "Job", tokenizer: Any, model: Any, arguments: TrainingArguments) -> JobTrainer:
    """A Trainer that trains nothing and shows its progress."""
    own = for_evaluation(arguments)
    options = job.evaluation_options(tokenizer, model, own)
    trainer = job.trainer_class(model=model, args=own, processing_class=tokenizer, **options)
    show_progress(trainer, job.metric)
    return trainer


def open_on_file(
    job: "Job", file: Path, arguments: TrainingArguments
) -> tuple[JobTrainer, Sequence[Mapping[str, Any]], Any]:
    """A Trainer with the model that a job names, the examples of a file, and their rows.

    Raises:
        ValueError: if the file cannot be read, has nothing in it, or has labels that the model lacks.
    """
    lines = file_of_lines(job, file)
    tokenizer = job.trained_tokenizer()
    model = job.open_trained()
    examples = job.read_evaluation(lines, job.labels_of_model(model.config))
    if not examples:
        raise ValueError(f"file must have {job.examples}, got none in {file}")
    trainer = evaluating_trainer(job, tokenizer, model, arguments)
    return trainer, examples, job.encode(examples, tokenizer, model)
