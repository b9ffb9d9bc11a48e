"""`hf-ext train similarity`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, app, parse_training_arguments

_DEFAULTS: dict[str, Any] = {
    **DEFAULTS,
    "metric_for_best_model": "spearman",
    "greater_is_better": True,
    # Batches of texts of like length would be told apart by that.
    "train_sampling_strategy": "random",
}
_FINE_TUNING: dict[str, Any] = {"learning_rate": 2e-5, "num_train_epochs": 5, "per_device_train_batch_size": 64}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 5e-4, "num_train_epochs": 10, "per_device_train_batch_size": 64}


@app.command(
    "similarity",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Every option of Transformers' TrainingArguments is taken too: --learning-rate 1e-4 --bf16 ...",
)
def similarity(
    context: typer.Context,
    train_file: Annotated[
        Path,
        typer.Option(help='JSON lines {"text1", "text2", "score"} or three columns; for SimCSE texts alone as well.'),
    ],
    validation_file: Annotated[Path, typer.Option(help="Pairs with scores, to evaluate on.")],
    output_dir: Annotated[Path, typer.Option(help="Folder for the model, its scores and its curves.")],
    model: Annotated[str | None, typer.Option(help="Encoder to fine-tune: a name on the Hub or a folder.")] = None,
    config: Annotated[
        str | None, typer.Option(help="Train from scratch: tiny, small, medium, base, or the folder of a config.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Name or folder; else the model's, or characters.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a text; what is beyond is cut off.")] = 128,
    loss: Annotated[str, typer.Option(help="cosent, or simcse, which needs texts alone.")] = "cosent",
    pooling: Annotated[str, typer.Option(help="cls, mean or pooler.")] = "mean",
    scale: Annotated[float, typer.Option(help="Factor of cosines.")] = 20.0,
    chunk_size: Annotated[
        int | None, typer.Option(help="Texts run at a time in training, whatever the size of the batch.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout of the encoder; else its own.")] = None,
) -> None:
    """Sentence embeddings whose cosines say how alike two texts are."""
    from rich.console import Console

    from hf_ext.training.similarity import SimilarityJob

    job = SimilarityJob(
        train_file=train_file,
        validation_file=validation_file,
        model=model,
        config=config,
        tokenizer=tokenizer,
        max_length=max_length,
        loss=loss,
        pooling=pooling,
        scale=scale,
        chunk_size=chunk_size,
        dropout=dropout,
    )
    defaults = _DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    scores = job.run(arguments)
    if arguments.process_index > 0:
        return
    console = Console(highlight=False)
    console.print(f"Spearman {scores['spearman']:.4f}, before training {scores['spearman_before']:.4f}")
    console.print(f"saved to {output_dir}: the model, scores.json and curves.png")
