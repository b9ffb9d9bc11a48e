"""`hf-ext train events`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated

import typer

from hf_ext.cli.train import DEFAULTS, parse_training_arguments, run_job, training_command
from hf_ext.cli.train_options import (
    Config,
    Encoder,
    OutputDir,
    SpanHeadSize,
    Stride,
    Tokenizer,
    ValidationFile,
    WindowLength,
)
from hf_ext.cli.train_relations import FINE_TUNING, FROM_SCRATCH


@training_command("events")
def events(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help="Texts with events: JSON lines or DuEE 1.0.")],
    validation_file: ValidationFile,
    output_dir: OutputDir,
    model: Encoder = None,
    config: Config = None,
    schema_file: Annotated[
        Path | None, typer.Option(help="DuEE's schema; else the types and roles of the training file.")
    ] = None,
    tokenizer: Tokenizer = None,
    max_length: WindowLength = 512,
    stride: Stride = 64,
    span_head_size: SpanHeadSize = None,
) -> None:
    """Event extraction with GPLinker, shared arguments included."""
    from hf_ext.tasks.events.job import EventExtractionJob

    job = EventExtractionJob(
        train_file,
        validation_file,
        model,
        config,
        tokenizer,
        max_length,
        schema_file=schema_file,
        stride=stride,
        span_head_size=span_head_size,
    )
    defaults = DEFAULTS | (FROM_SCRATCH if model is None else FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    run_job(job, arguments)
