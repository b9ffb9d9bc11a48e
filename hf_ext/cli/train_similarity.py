"""`hf-ext train similarity`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, parse_training_arguments, run_job, training_command
from hf_ext.cli.train_options import Config, Encoder, OutputDir, Tokenizer

_DEFAULTS: dict[str, Any] = {
    **DEFAULTS,
    "metric_for_best_model": "spearman",
    "greater_is_better": True,
    # Batches of texts of like length would be told apart by that.
    "train_sampling_strategy": "random",
}
_FINE_TUNING: dict[str, Any] = {"learning_rate": 2e-5, "num_train_epochs": 5, "per_device_train_batch_size": 64}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 5e-4, "num_train_epochs": 10, "per_device_train_batch_size": 64}


@training_command("similarity")
def similarity(
    context: typer.Context,
    train_file: Annotated[
        Path,
        typer.Option(help='JSON lines {"text1", "text2", "score"} or three columns; for SimCSE texts alone as well.'),
    ],
    validation_file: Annotated[Path, typer.Option(help="Pairs with scores, to evaluate on.")],
    output_dir: OutputDir,
    model: Encoder = None,
    config: Config = None,
    tokenizer: Tokenizer = None,
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
    from hf_ext.tasks.similarity.job import SimilarityJob

    job = SimilarityJob(
        train_file,
        validation_file,
        model,
        config,
        tokenizer,
        max_length,
        loss=loss,
        pooling=pooling,
        scale=scale,
        chunk_size=chunk_size,
        dropout=dropout,
    )
    defaults = _DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    run_job(
        job,
        arguments,
        lambda scores: [f"Spearman {scores['spearman']:.4f}, before training {scores['spearman_before']:.4f}"],
    )
