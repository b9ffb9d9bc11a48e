"""`hf-ext train events`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated

import typer

from hf_ext.cli.train import DEFAULTS, app, parse_training_arguments
from hf_ext.cli.train_relations import FINE_TUNING, FROM_SCRATCH


@app.command(
    "events",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Every option of Transformers' TrainingArguments is taken too: --learning-rate 1e-4 --bf16 ...",
)
def events(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help="Texts with events: JSON lines or DuEE 1.0.")],
    validation_file: Annotated[Path, typer.Option(help="The same, to evaluate on.")],
    output_dir: Annotated[Path, typer.Option(help="Folder for the model, its scores and its curves.")],
    model: Annotated[str | None, typer.Option(help="Encoder to fine-tune: a name on the Hub or a folder.")] = None,
    config: Annotated[
        str | None, typer.Option(help="Train from scratch: tiny, small, medium, base, or the folder of a config.")
    ] = None,
    schema_file: Annotated[
        Path | None, typer.Option(help="DuEE's schema; else the types and roles of the training file.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Name or folder; else the model's, or characters.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens in a window.")] = 512,
    stride: Annotated[int, typer.Option(help="Tokens that two windows of a long text share.")] = 64,
    span_head_size: Annotated[int | None, typer.Option(help="Size of the head's vectors.")] = None,
) -> None:
    """Event extraction with GPLinker, shared arguments included."""
    from rich.console import Console

    from hf_ext.metrics.score_table import score_table
    from hf_ext.training.event_extraction import EventExtractionJob

    job = EventExtractionJob(
        train_file=train_file,
        validation_file=validation_file,
        model=model,
        config=config,
        tokenizer=tokenizer,
        schema_file=schema_file,
        max_length=max_length,
        stride=stride,
        head_options={"span_head_size": span_head_size},
    )
    defaults = DEFAULTS | (FROM_SCRATCH if model is None else FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    scores = job.run(arguments)
    if arguments.process_index > 0:
        return
    console = Console()
    console.print(score_table(scores, title=str(validation_file)))
    console.print(f"saved to {output_dir}: the model, scores.json and curves.png", highlight=False)
