"""`hf-ext train relations`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, app, parse_training_arguments

FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-5, "num_train_epochs": 10, "per_device_train_batch_size": 16}
FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 20, "per_device_train_batch_size": 16}


@app.command(
    "relations",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Every option of Transformers' TrainingArguments is taken too: --learning-rate 1e-4 --bf16 ...",
)
def relations(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help="Texts with relations: JSON lines, DuIE 1.0 or DuIE 2.0.")],
    validation_file: Annotated[Path, typer.Option(help="The same, to evaluate on.")],
    output_dir: Annotated[Path, typer.Option(help="Folder for the model, its scores and its curves.")],
    model: Annotated[str | None, typer.Option(help="Encoder to fine-tune: a name on the Hub or a folder.")] = None,
    config: Annotated[
        str | None, typer.Option(help="Train from scratch: tiny, small, medium, base, or the folder of a config.")
    ] = None,
    schema_file: Annotated[
        Path | None, typer.Option(help="DuIE's schema; else the predicates of the training file.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Name or folder; else the model's, or characters.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens in a window.")] = 512,
    stride: Annotated[int, typer.Option(help="Tokens that two windows of a long text share.")] = 64,
    span_head_size: Annotated[int | None, typer.Option(help="Size of the head's vectors.")] = None,
) -> None:
    """Relation extraction with GPLinker, overlapping entities and complex objects included."""
    from rich.console import Console

    from hf_ext.metrics.score_table import score_table
    from hf_ext.training.relation_extraction import RelationExtractionJob

    job = RelationExtractionJob(
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
