"""`hf-ext train dialogue`: multi-turn dialogue with NEZHA-GPT or CDial-GPT."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, parse_training_arguments, run_job, training_command
from hf_ext.cli.train_options import Config, OutputDir, Tokenizer, ValidationFile

_DEFAULTS: dict[str, Any] = DEFAULTS | {
    "metric_for_best_model": "perplexity",
    "greater_is_better": False,
    "per_device_train_batch_size": 16,
    # The scores of all tokens are as many as a batch has tokens times the vocabulary.
    "per_device_eval_batch_size": 16,
}
_FINE_TUNING: dict[str, Any] = {"learning_rate": 5e-5, "num_train_epochs": 5}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 10}


@training_command("dialogue")
def dialogue(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help='Dialogues: JSON lines {"turns": [...]}, or as LCCC or KdConv.')],
    validation_file: ValidationFile,
    output_dir: OutputDir,
    model: Annotated[
        str | None, typer.Option(help="NEZHA or CDial-GPT to fine-tune: a name on the Hub or a folder.")
    ] = None,
    config: Config = None,
    family: Annotated[
        str | None, typer.Option(help="What a config by its size is: nezha (default) or gpt_cdial.")
    ] = None,
    tokenizer: Tokenizer = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a dialogue; a longer one loses its first turns.")] = 256,
    train_on: Annotated[
        str | None, typer.Option(help="all turns or the last; else all for NEZHA, the last for CDial-GPT.")
    ] = None,
) -> None:
    """Multi-turn dialogue, scored by the perplexity of held-out dialogues."""
    from hf_ext.tasks.dialogue.job import DialogueJob

    job = DialogueJob(
        train_file, validation_file, model, config, tokenizer, max_length, family=family, train_on=train_on
    )
    defaults = _DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    run_job(
        job,
        arguments,
        lambda scores: [
            f"perplexity {scores['perplexity']:.2f} (before training {scores['perplexity_before']:.2f}), "
            f"accuracy of the next token {scores['accuracy']:.4f}"
        ],
        hint=f"talk to it: hf-ext chat {output_dir}",
    )
