"""`hf-ext train summarization`; any option of Transformers' Seq2SeqTrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, parse_training_arguments, run_job, training_command
from hf_ext.cli.train_options import Config, Tokenizer, ValidationFile

_DEFAULTS: dict[str, Any] = {
    **DEFAULTS,
    "metric_for_best_model": "rougeL",
    "predict_with_generate": True,
    "per_device_eval_batch_size": 32,
}
_FINE_TUNING: dict[str, Any] = {"learning_rate": 2e-4, "num_train_epochs": 5, "per_device_train_batch_size": 16}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 20, "per_device_train_batch_size": 16}


@training_command("summarization", "Seq2SeqTrainingArguments", "--generation-num-beams 4")
def summarization(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help="Texts with summaries: JSON lines, or summary, tab, text.")],
    validation_file: ValidationFile,
    output_dir: Annotated[Path, typer.Option(help="Folder for the model, its scores, its summaries and its curves.")],
    model: Annotated[str | None, typer.Option(help="Model to fine-tune: a name on the Hub or a folder.")] = None,
    config: Config = None,
    tokenizer: Tokenizer = None,
    max_source_length: Annotated[int, typer.Option(help="Tokens of a text.")] = 512,
    max_target_length: Annotated[int, typer.Option(help="Tokens of a summary.")] = 64,
) -> None:
    """Summaries, titles, questions: text to text with T5-PEGASUS or another encoder-decoder."""
    from transformers import Seq2SeqTrainingArguments

    from hf_ext.tasks.summarization.job import SummarizationJob
    from hf_ext.tasks.summarization.metrics import summary_table

    job = SummarizationJob(
        train_file,
        validation_file,
        model,
        config,
        tokenizer,
        max_source_length=max_source_length,
        max_target_length=max_target_length,
    )
    defaults = _DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, Seq2SeqTrainingArguments, **defaults)
    run_job(
        job,
        arguments,
        lambda scores: [summary_table(scores, title=str(validation_file))],
        saved="the model, scores.json, summaries.jsonl and curves.png",
    )
