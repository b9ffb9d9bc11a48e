"""`hf-ext train`: the group of commands that train a model on files, and what they share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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


def training_command(name: str, arguments: str = "TrainingArguments", example: str = "--learning-rate 1e-4") -> Any:
    """Decorator: make a function a command of `hf-ext train` that leaves unknown options to Transformers.

    Args:
        name: of the command.
        arguments: the class whose options can follow.
        example: one of them.
    """
    return app.command(
        name,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        epilog=f"Every option of Transformers' {arguments} is taken too: {example} --bf16 ...",
    )


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


def run_job(
    job: Any,
    arguments: Any,
    show: Callable[[Mapping[str, Any]], list[Any]] | None = None,
    saved: str = "the model, scores.json and curves.png",
    hint: str | None = None,
) -> None:
    """Run a job; the first process then prints the scores and where everything is.

    Args:
        job: of `hf_ext.training`.
        arguments: TrainingArguments.
        show: what to print of the scores; None: the table of types.
        saved: what is in the output folder.
        hint: what to do next.
    """
    from rich.console import Console

    from hf_ext.metrics.score_table import score_table

    scores = job.run(arguments)
    if arguments.process_index > 0:
        return
    console = Console(highlight=False, markup=False)
    shown = show(scores) if show else [score_table(scores, title=str(job.validation_file))]
    for part in (*shown, f"saved to {arguments.output_dir}: {saved}", *([hint] if hint else [])):
        console.print(part)
