"""`hf-ext train ner`; any option of Transformers' TrainingArguments can follow."""

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

_FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-5, "num_train_epochs": 5, "per_device_train_batch_size": 16}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 10, "per_device_train_batch_size": 16}


@training_command("ner")
def ner(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help="Texts with entities: JSON lines, CLUENER's JSON or CoNLL.")],
    validation_file: ValidationFile,
    output_dir: OutputDir,
    model: Encoder = None,
    config: Config = None,
    tokenizer: Tokenizer = None,
    max_length: WindowLength = 512,
    stride: Stride = 64,
    head: Annotated[
        str | None,
        typer.Option(help="efficient_global_pointer, global_pointer, or for tags that do not nest crf, memm, softmax."),
    ] = None,
    tag_scheme: Annotated[str, typer.Option(help="With tags: BIO, BMES or BIOES.")] = "BIO",
    constrained_transitions: Annotated[
        bool, typer.Option("--constrained-transitions", help="With tags: forbid those against the scheme.")
    ] = False,
    head_lr_multiplier: Annotated[
        float | None, typer.Option(help="With crf or memm: how much faster transitions learn.")
    ] = None,
    span_head: Annotated[str | None, typer.Option(help="As --head, for the pointers.")] = None,
    span_head_size: SpanHeadSize = None,
) -> None:
    """Named-entity recognition with GlobalPointer, nested entities included, or a CRF, MEMM or softmax."""
    from hf_ext.tasks.entities.span_job import SpanExtractionJob
    from hf_ext.tasks.entities.tag_job import SequenceLabelingJob

    files = (train_file, validation_file, model, config, tokenizer, max_length, stride)
    heads = ("efficient_global_pointer", "global_pointer", "crf", "memm", "softmax")
    if head is not None and head not in heads:
        raise typer.BadParameter(f"--head must be one of {', '.join(heads)}, got {head!r}")
    if head in ("crf", "memm", "softmax"):
        tags: dict[str, Any] = {
            "constrained_transitions": constrained_transitions,
            "head_lr_multiplier": head_lr_multiplier,
        }
        job: Any = SequenceLabelingJob(*files, head=head, tag_scheme=tag_scheme, **tags)
    else:
        job = SpanExtractionJob(*files, head=head or span_head, span_head_size=span_head_size)
    defaults = DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    run_job(job, arguments)
