"""`hf-ext train relations`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

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

FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-5, "num_train_epochs": 10, "per_device_train_batch_size": 16}
FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 20, "per_device_train_batch_size": 16}


@training_command("relations")
def relations(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help="Texts with relations: JSON lines, DuIE 1.0 or DuIE 2.0.")],
    validation_file: ValidationFile,
    output_dir: OutputDir,
    model: Encoder = None,
    config: Config = None,
    schema_file: Annotated[
        Path | None, typer.Option(help="DuIE's schema; else the predicates of the training file.")
    ] = None,
    tokenizer: Tokenizer = None,
    max_length: WindowLength = 512,
    stride: Stride = 64,
    span_head_size: SpanHeadSize = None,
) -> None:
    """Relation extraction with GPLinker, overlapping entities and complex objects included."""
    from hf_ext.tasks.relations.job import RelationExtractionJob

    job = RelationExtractionJob(
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
