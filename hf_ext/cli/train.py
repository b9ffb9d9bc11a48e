"""`hf-ext train`: train a model on files; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Train a model on files.", no_args_is_help=True)

# TrainingArguments to start from; each can be given on the command line.
DEFAULTS: dict[str, Any] = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
    "metric_for_best_model": "f1",
    "logging_steps": 20,
    "report_to": "none",
    "train_sampling_strategy": "group_by_length",
    "per_device_eval_batch_size": 64,
    "warmup_steps": 0.1,
    "weight_decay": 0.01,
}
_FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-5, "num_train_epochs": 5, "per_device_train_batch_size": 16}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 10, "per_device_train_batch_size": 16}


def parse_training_arguments(options: list[str], output_dir: Path, kind: type | None = None, **defaults: Any) -> Any:
    """TrainingArguments from command-line options.

    Args:
        options: as typed, ``["--learning-rate", "1e-4", ...]``.
        output_dir: where to write.
        kind: TrainingArguments, or a class made from it.
        **defaults: fields to start from instead of the library's own values.

    Raises:
        typer.BadParameter: if an option is unknown or its value cannot be read.
    """
    from argparse import ArgumentError
    from typing import NoReturn

    import torch
    from transformers import HfArgumentParser, TrainingArguments

    class Parser(HfArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise typer.BadParameter(f"{message} (options of TrainingArguments are taken too)")

    dataclass: Any = kind or TrainingArguments
    parser = Parser(dataclass, prog="hf-ext train", allow_abbrev=False)
    # Without an accelerator there is nothing to pin memory for, and each loader would warn of it.
    parser.set_defaults(dataloader_pin_memory=torch.accelerator.is_available(), **defaults)
    try:
        (arguments,) = parser.parse_args_into_dataclasses(["--output_dir", str(output_dir), *options])
    except ArgumentError as error:
        raise typer.BadParameter(str(error)) from error
    return arguments


@app.command(
    "ner",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Every option of Transformers' TrainingArguments is taken too: --learning-rate 1e-4 --bf16 ...",
)
def ner(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help="Texts with entities: JSON lines, CLUENER's JSON or CoNLL.")],
    validation_file: Annotated[Path, typer.Option(help="The same, to evaluate on.")],
    output_dir: Annotated[Path, typer.Option(help="Folder for the model, its scores and its curves.")],
    model: Annotated[str | None, typer.Option(help="Encoder to fine-tune: a name on the Hub or a folder.")] = None,
    config: Annotated[
        str | None, typer.Option(help="Train from scratch: tiny, small, medium, base, or the folder of a config.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Name or folder; else the model's, or characters.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens in a window.")] = 512,
    stride: Annotated[int, typer.Option(help="Tokens that two windows of a long text share.")] = 64,
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
    span_head_size: Annotated[int | None, typer.Option(help="Size of the head's vectors.")] = None,
) -> None:
    """Named-entity recognition with GlobalPointer, nested entities included, or a CRF, MEMM or softmax."""
    from rich.console import Console

    from hf_ext.metrics.score_table import score_table
    from hf_ext.training.sequence_labeling import SequenceLabelingJob
    from hf_ext.training.span_extraction import SpanExtractionJob

    files: dict[str, Any] = {
        "train_file": train_file,
        "validation_file": validation_file,
        "model": model,
        "config": config,
        "tokenizer": tokenizer,
        "max_length": max_length,
        "stride": stride,
    }
    heads = ("efficient_global_pointer", "global_pointer", "crf", "memm", "softmax")
    if head is not None and head not in heads:
        raise typer.BadParameter(f"--head must be one of {', '.join(heads)}, got {head!r}")
    if head in ("crf", "memm", "softmax"):
        tags = {"constrained_transitions": constrained_transitions, "head_lr_multiplier": head_lr_multiplier}
        job: SpanExtractionJob = SequenceLabelingJob(
            **files, scheme=tag_scheme, head_options={"sequence_head": head, **tags}
        )
    else:
        pointer = {"span_head": head or span_head, "span_head_size": span_head_size}
        job = SpanExtractionJob(**files, head_options=pointer)
    defaults = DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    scores = job.run(arguments)
    if arguments.process_index > 0:
        return
    console = Console()
    console.print(score_table(scores, title=str(validation_file)))
    console.print(f"saved to {output_dir}: the model, scores.json and curves.png", highlight=False)
