"""What a run looks at before it reads anything, and what it says before its bar."""

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks

from hf_ext.data.model_name import check_model_name
from hf_ext.tasks.base.data_source import source_of
from hf_ext.training.progress import say
from hf_ext.training.push_run import check_push

if TYPE_CHECKING:
    from hf_ext.tasks.base.job import Files, Job


def check_start(job: "Job", arguments: TrainingArguments) -> None:
    """See to it that what a run starts from is there, and where it is to report and to be uploaded to.

    Raises:
        ValueError: if it is not, naming the argument.
        PermissionError: if it is to be uploaded, and there is no token that may.
        ConnectionError: if it is to be uploaded, and the Hub cannot be reached.
    """
    for what in ("model", "tokenizer"):
        name = getattr(job, what)
        if name is not None:
            check_model_name(name, what)
    if job.config is not None and "/" in job.config:
        check_model_name(job.config, "config")
    try:
        for callback in get_reporting_integration_callbacks(arguments.report_to):
            callback()
    except (ImportError, RuntimeError) as error:
        raise ValueError(f"report_to must name what is installed, got {arguments.report_to}: {error}") from None
    check_push(arguments)


def tell_files(job: "Job", files: "Files", arguments: TrainingArguments) -> None:
    """Say what there is to train on and to evaluate on, before it is encoded, which may take its time."""
    parts = {"train": files.train, "validation": files.validation, "test": files.test}
    parts["unlabelled"] = files.unlabelled
    told = ", ".join(
        f"{_number(own)}{job.examples} in {source_of(job, part)}" for part, own in parts.items() if own is not None
    )
    labels = f"; {len(files.labels)} labels" if files.labels else ""
    tell(arguments, told + labels)


def tell_run(job: "Job", trainer: Trainer, files: "Files", rows: Sequence[Any]) -> None:
    """Say what is trained, where, and what became of the examples.

    Args:
        job: of the run.
        trainer: of the run, with its model.
        files: what was read.
        rows: what was made of the examples to train on, and of those to evaluate on.
    """
    model: Any = trainer.model
    sizes = [parameter.numel() for parameter in model.parameters()]
    trained = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    part = "" if sum(trained) == sum(sizes) else f" ({_millions(sum(trained))} of them trained)"
    arguments = trainer.args
    precision = "bfloat16" if arguments.bf16 else "float16" if arguments.fp16 else "float32"
    processes = f", {arguments.world_size} processes" if arguments.world_size > 1 else ""
    tell(
        arguments,
        f"{type(model).__name__}, {_millions(sum(sizes))} parameters{part}, on {arguments.device} in "
        f"{precision}{processes}",
    )
    for name, examples, own in zip(("training", "evaluation"), (files.train, files.validation), rows):
        told = _of_rows(job, len(examples), own) if isinstance(examples, Sized) else ""
        if told:
            tell(arguments, f"{name}: {told}")


def _of_rows(job: "Job", examples: int, rows: Any) -> str:
    """How many windows there are, or how many rows are as long as may be."""
    limit = job.row_length
    if limit is None or "input_ids" not in getattr(rows, "column_names", ()):
        return ""
    if job.reads_windows:
        return f"{examples:,} {job.examples} in {len(rows):,} windows of at most {limit} tokens"
    chunks = rows.with_format("arrow")["input_ids"].chunks
    full = sum(length >= limit for chunk in chunks for length in chunk.value_lengths().to_pylist())
    told = f"{full:,} of {examples:,} {job.examples} fill all {limit} tokens; what is longer is cut off"
    return told if full else ""


def _number(examples: object) -> str:
    # Of a stream nobody knows it.
    return f"{len(examples):,} " if isinstance(examples, Sized) else ""


def _millions(number: int) -> str:
    return f"{number / 1e6:,.1f} million" if number >= 1e5 else f"{number:,}"


def tell(arguments: TrainingArguments, line: str) -> None:
    """Say a line of a run, in the first process and where a progress is wanted."""
    if not arguments.disable_tqdm and arguments.process_index == 0:
        say(line)
