"""`hf-ext train paraphrase`; any option of Transformers' TrainingArguments can follow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.train import DEFAULTS, parse_training_arguments, run_job, training_command
from hf_ext.cli.train_options import Config, OutputDir, Tokenizer, ValidationFile

_DEFAULTS: dict[str, Any] = {
    **DEFAULTS,
    # Of both objectives: the epoch that retrieves best may not have learnt to write.
    "metric_for_best_model": "loss",
    # Rows are made of pairs drawn anew each time, so their lengths are not known beforehand.
    "train_sampling_strategy": "random",
    "per_device_eval_batch_size": 32,
}
_FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-5, "num_train_epochs": 5, "per_device_train_batch_size": 32}
_FROM_SCRATCH: dict[str, Any] = {"learning_rate": 1e-3, "num_train_epochs": 20, "per_device_train_batch_size": 32}


@training_command("paraphrase")
def paraphrase(
    context: typer.Context,
    train_file: Annotated[Path, typer.Option(help='JSON lines {"text", "synonyms": [...]}.')],
    validation_file: ValidationFile,
    output_dir: OutputDir,
    model: Annotated[
        str | None, typer.Option(help="RoFormer, SimBERT or BERT to fine-tune: a name on the Hub or a folder.")
    ] = None,
    config: Config = None,
    tokenizer: Tokenizer = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a pair.")] = 128,
    similarity_scale: Annotated[
        float | None, typer.Option(help="Factor of cosines; else 20 for RoFormer and 30 for BERT.")
    ] = None,
) -> None:
    """Generation and retrieval of paraphrases with one model: SimBERT, RoFormer-Sim."""
    from hf_ext.tasks.paraphrase.job import ParaphraseJob

    job = ParaphraseJob(
        train_file, validation_file, model, config, tokenizer, max_length, similarity_scale=similarity_scale
    )
    defaults = _DEFAULTS | (_FROM_SCRATCH if model is None else _FINE_TUNING)
    arguments = parse_training_arguments(context.args, output_dir, **defaults)
    run_job(
        job,
        arguments,
        lambda scores: [
            f"retrieval accuracy {scores['retrieval_accuracy']:.3f}, loss of a token {scores['lm_loss']:.3f}"
        ],
    )
