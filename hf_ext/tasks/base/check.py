"""Checks the files of a job before it is trained: what `hf-ext check` runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ext.data.file_checks import (
    SEVERITIES,
    CheckedExample,
    Finding,
    check_files,
    check_lengths,
    label_counts,
    worst_severity,
)
from hf_ext.tasks.base.data_source import source_of
from hf_ext.tasks.base.job import Files, Job

if TYPE_CHECKING:
    from rich.table import Table

# Labels that the table shows.
_MOST_LABELS = 60


@dataclass(frozen=True)
class FileCheck:
    """What `check_job_files` found.

    Attributes:
        files: what each file that could be read is called, and its number of examples.
        labels: how often each label occurs in each file.
        findings: what is suspicious, the gravest first.
    """

    files: Mapping[str, tuple[str, int]]
    labels: Mapping[str, Mapping[str, int]]
    findings: Sequence[Finding]

    @property
    def severity(self) -> str | None:
        """The gravest of the findings'; None if there are none."""
        return worst_severity(self.findings)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        files = {name: {"path": path, "examples": number} for name, (path, number) in self.files.items()}
        findings = [asdict(one) for one in self.findings]
        return {"severity": self.severity, "files": files, "labels": self.labels, "findings": findings}

    def tables(self) -> Iterable["Table | str"]:
        """What the command prints."""
        from rich.table import Table

        yield ", ".join(f"{name}: {number} in {path}" for name, (path, number) in self.files.items())
        if self.labels:
            table = Table("label")
            for name in self.files:
                table.add_column(name, justify="right")
            for label in list(self.labels)[:_MOST_LABELS]:
                table.add_row(label, *(str(self.labels[label].get(name, 0)) for name in self.files))
            yield table
            if len(self.labels) > _MOST_LABELS:
                yield f"and {len(self.labels) - _MOST_LABELS} more labels"
        if not self.findings:
            yield "nothing suspicious"
            return
        for one in self.findings:
            number = f"{one.number} of {one.of} " if one.of else ""
            yield f"{one.severity}: {one.file}: {number}{one.message}"
            yield from (f"    {place}" for place in one.places)


def check_job_files(job: Job, files: Mapping[str, Path]) -> FileCheck:
    """Check files that a job reads.

    Args:
        job: says how they are read, and how long texts may be.
        files: those beside ``job.train_file``, by ``"validation"`` and ``"test"``.

    Raises:
        ValueError: if the training file cannot be read, naming it.
    """
    called = {name: source_of(job, name) for name in ("train", *files)}
    read, findings = _read(job, files)
    train = read["train"]
    examples = {"train": train.train} | {name: own.validation for name, own in read.items() if name != "train"}
    tokenizer = job.load_tokenizer(text for example in train.train for text in job.texts(example))
    checked = {}
    for name, own in examples.items():
        lost = job.count_lost(own, tokenizer, train.labels) if own else ()
        checked[name] = [_checked(job, example, number) for example, number in zip(own, lost or [0] * len(own))]
        for option, (lengths, limit) in (job.token_counts(own, tokenizer) if own else {}).items():
            findings += check_lengths(name, option, lengths, limit, job.reads_windows)
    findings += check_files(checked, job.labels_are_named)
    findings.sort(key=lambda one: -SEVERITIES.index(one.severity))
    return FileCheck({name: (called[name], len(own)) for name, own in checked.items()}, label_counts(checked), findings)


def _read(job: Job, files: Mapping[str, Path]) -> tuple[dict[str, Files], list[Finding]]:
    """The files, each read as one that the job is evaluated on, under ``"train"`` the training file."""
    # By itself, so that what is wrong with it is said of no other; a job reads it with one to evaluate on.
    job.validation_file = job.train_file
    train = job.read()
    read: dict[str, Files] = {"train": train}
    findings = []
    for name, path in files.items():
        try:
            if name == "validation":
                job.validation_file = path
                read[name] = job.read()
            else:
                read[name] = replace(train, validation=job.read_evaluation(path, train.labels))
        except ValueError as error:
            findings.append(Finding("error", "unreadable", name, " ".join(str(error).split())))
    return read, findings


def _checked(job: Job, example: Mapping[str, Any], lost: int) -> CheckedExample:
    labels = tuple(item.name for item in job.items_of(example))
    return CheckedExample(tuple(job.inputs_of(example)), job.answer_of(example), labels, lost)
