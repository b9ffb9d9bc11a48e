"""`hf-ext train reading-comprehension`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, parse_training_arguments, run_job, training_command
from hf_ext.cli.train_options import Config, Encoder, Tokenizer, ValidationFile

_FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-5, "num_train_epochs": 3, "per_device_train_batch_size": 16}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 10, "per_device_train_batch_size": 16}


@training_command("reading-comprehension")
def reading_comprehension(
    context: typer.Context,
    train_file: Annotated[
        Path, typer.Option(help="Questions on texts: SQuAD's, CMRC2018's or WebQA's JSON, or lines.")
    ],
    validation_file: ValidationFile,
    output_dir: Annotated[Path, typer.Option(help="Folder for the model, its scores, its answers and its curves.")],
    model: Encoder = None,
    config: Config = None,
    tokenizer: Tokenizer = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a question and a window of its text.")] = 512,
    stride: Annotated[
        int | None, typer.Option(help="Tokens that two windows of a text share; else 128, or less in small windows.")
    ] = None,
    max_question_length: Annotated[
        int | None, typer.Option(help="Tokens of a question, the rest is cut; else 64, or less in small windows.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="global_pointer or start_end.")] = None,
    head_size: Annotated[int | None, typer.Option(help="Size of the pointer's vectors.")] = None,
    max_answer_tokens: Annotated[int | None, typer.Option(help="Most tokens of an answer; else 128.")] = None,
    n_best: Annotated[int | None, typer.Option(help="Answers to rank for each question; else 20.")] = None,
    null_threshold: Annotated[
        float | None,
        typer.Option(help="No answer where it scores more than this above the best; else 0 if training has such."),
    ] = None,
) -> None:
    """Answers to questions as spans of a text, with GlobalPointer or with a start and an end."""
    from hf_ext.tasks.reading_comprehension.job import ReadingComprehensionJob
    from hf_ext.tasks.reading_comprehension.metrics import reading_table

    job = ReadingComprehensionJob(
        train_file,
        validation_file,
        model,
        config,
        tokenizer,
        max_length,
        stride=stride,
        max_question_length=max_question_length,
        null_threshold=null_threshold,
        head=head,
        head_size=head_size,
        max_answer_tokens=max_answer_tokens,
        n_best=n_best,
    )
    defaults = DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    run_job(
        job,
        arguments,
        lambda scores: [reading_table(scores, title=str(validation_file))],
        saved="the model, scores.json, predictions.json, nbest_predictions.json and curves.png",
    )
