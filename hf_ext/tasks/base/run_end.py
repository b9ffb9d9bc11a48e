"""What is written when a model has been trained and scored: the model, all that is told of it, and the error report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Trainer

from hf_ext.metrics.error_report import error_report
from hf_ext.tasks.base.job_file import write_job_file
from hf_ext.tasks.base.report_page import write_report
from hf_ext.tasks.base.search import TRIALS_FILE
from hf_ext.training.model_card.facts import CardFacts, name_of
from hf_ext.training.push_run import push_run
from hf_ext.training.run_steps import remove_checkpoints, save_run

if TYPE_CHECKING:
    from hf_ext.tasks.base.job import Job


@dataclass(frozen=True)
class Scored:
    """What a model says of a file, and how good that is.

    Attributes:
        source: the file or data set that the examples are of.
        examples: of the file.
        found: what `Job.find` found in them.
        scores: what `Job.score` says of it.
    """

    source: str
    examples: Sequence[Mapping[str, Any]]
    found: Any
    scores: dict[str, Any]


def score_file(job: "Job", trainer: Trainer, source: str, examples: Sequence[Mapping[str, Any]], rows: Any) -> Scored:
    """Score the model of a Trainer on a file.

    Args:
        job: of the task.
        trainer: with the model.
        source: what the file is called.
        examples: of the file.
        rows: what `Job.encode` made of them.
    """
    model: Any = trainer.model
    found = job.find(trainer, rows, examples)
    return Scored(source, examples, found, job.score(found, examples, model))


def end_run(
    job: "Job",
    trainer: Trainer,
    card: CardFacts,
    scores: Mapping[str, Any],
    last: Scored,
    train: Sequence[Mapping[str, Any]],
) -> None:
    """Save what was trained and what is told of it, take its checkpoints away, and upload it if it is to be.

    Args:
        job: that was run.
        trainer: of the run.
        card: the facts of the model's card.
        scores: of all files.
        last: the file that the error report is of.
        train: the examples of training.

    Raises:
        ConnectionError: if the upload was broken off; what was written is whole.
    """
    save_run(trainer, scores, job.plotted_metric or job.metric, card)
    if trainer.is_world_process_zero():
        model: Any = trainer.model
        folder = Path(str(trainer.args.output_dir))
        write_job_file(job, folder)
        # Of a search that made what was here before.
        (folder / TRIALS_FILE).unlink(missing_ok=True)
        job.write(last.found, last.examples, model, folder)
        report_errors(job, last, model, folder, train)
    # Who says how many there may be wants them.
    if not job.keep_checkpoints and trainer.args.save_total_limit in (None, job.defaults.get("save_total_limit")):
        remove_checkpoints(trainer)
    push_run(trainer)


def report_errors(
    job: "Job", scored: Scored, model: Any, folder: Path, train: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Write ``report.json`` and ``report.html``, where the task has an error report.

    Args:
        job: of the task.
        scored: the file that it is of.
        model: what was scored.
        folder: where to write.
        train: the examples of training, by which it is told what was seen there; None: not known.
    """
    comparisons = job.compare(scored.found, scored.examples, model)
    if comparisons is None:
        return
    training = None if train is None else map(job.items_of, train)
    about = {"task": job.command, "file": name_of(scored.source)}
    write_report(folder, error_report(comparisons, scored.scores, training, **about))
