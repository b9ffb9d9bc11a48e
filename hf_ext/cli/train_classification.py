"""`hf-ext train classification`; any option of Transformers' TrainingArguments can follow."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, parse_training_arguments, run_job, training_command
from hf_ext.cli.train_options import Config, Encoder, OutputDir, Tokenizer, ValidationFile

_FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-5, "num_train_epochs": 5, "per_device_train_batch_size": 32}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 10, "per_device_train_batch_size": 32}


def parse_loss_options(given: list[str]) -> dict[str, Any]:
    """Options of a loss from words such as ``gamma=1.0``; a value is JSON, or else a string.

    Raises:
        typer.BadParameter: if a word has no ``=``.
    """
    options: dict[str, Any] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"--loss-option must be NAME=VALUE, got {word!r}")
        try:
            options[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            options[name.replace("-", "_")] = value
    return options


@training_command("classification")
def classification(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help='JSON lines {"text", "text2"?, "label" or "labels"}, TSV or CSV.')],
    validation_file: ValidationFile,
    output_dir: OutputDir,
    model: Encoder = None,
    config: Config = None,
    tokenizer: Tokenizer = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a text or a pair; what is beyond is cut off.")] = 128,
    loss: Annotated[
        str | None, typer.Option(help="Name of a loss; else cross_entropy, or multilabel_softmax for several classes.")
    ] = None,
    loss_option: Annotated[list[str], typer.Option(help="Option of the loss: gamma=1.0.")] = [],  # noqa: B006
) -> None:
    """Classes of texts or of pairs of texts: one each, or any number."""
    from hf_ext.metrics.score_table import score_table
    from hf_ext.tasks.classification.job import ClassificationJob

    job = ClassificationJob(
        train_file,
        validation_file,
        model,
        config,
        tokenizer,
        max_length,
        loss=loss,
        loss_options=parse_loss_options(loss_option),
    )
    defaults = DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    run_job(
        job,
        arguments,
        lambda scores: [
            score_table(scores, title=str(validation_file)),
            f"accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}",
        ],
    )
