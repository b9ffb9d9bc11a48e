"""Checks the official files of a suite: what is there, rows and labels, what is suspicious, what is cut."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table
from transformers import AutoTokenizer

from hf_ext.data.file_checks import (
    SEVERITIES,
    CheckedExample,
    Finding,
    check_files,
    check_lengths,
    label_counts,
    worst_severity,
)
from hf_ext.suites.faulty_lines import read_around_faults
from hf_ext.suites.files import find_part, has_part, official_places, read_files, usable, write_examples
from hf_ext.suites.jobs import job_class, label_options, of_job
from hf_ext.suites.suite import Row, Suite, SuiteTask, check_variants
from hf_ext.tasks.base.job import Job

# What these say of labels is not known of files to be predicted.
_OF_LABELS = ("conflict", "lost", "unknown", "unscored")
_SHOWN = 5
_BEGINNING = 40


@dataclass
class TaskCheck:
    """What was found of a task, or of a split of it.

    Attributes:
        task: its name.
        split: of the training data; None: it is not split.
        rows: number of rows of each part that could be read, those without a label included.
        left_out: number of those without a label, which are neither trained on nor scored.
        cut: share of the examples of each part that are longer than is read at once.
        labels: how often each label occurs in each part.
        shown: by each label the beginning of the first text that has it.
        findings: what is suspicious, the gravest first.
    """

    task: str
    split: str | None = None
    rows: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    cut: dict[str, float] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def severity(self) -> str | None:
        """The gravest of the findings'; None if there are none."""
        return worst_severity(self.findings)

    @property
    def name(self) -> str:
        """The task, with its split if it has one."""
        return self.task if self.split is None else f"{self.task} {self.split}"

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {**asdict(self), "severity": self.severity}

    def add(self, severity: str, kind: str, part: str, message: str) -> None:
        """Note something suspicious."""
        self.findings.append(Finding(severity, kind, part, message))


def check_suite(
    suite: Suite,
    data: Path,
    tasks: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    variants: Mapping[str, str] | None = None,
    tokenizer: str | None = None,
) -> list[TaskCheck]:
    """Check the official files of tasks.

    Args:
        suite: of the tasks.
        data: the folder of the official files.
        tasks: the names of those that must be there; None: all that are.
        splits: the names of those that must be there; None: all that are.
        variants: by the name of a task, the variant of its examples.
        tokenizer: counts tokens, a name or a folder; None: each character is one.

    Raises:
        ValueError: if there is no such folder, task, split or variant, or nothing of the suite in the folder.
    """
    if not data.is_dir():
        raise ValueError(f"data must be a folder with a folder for each task, got {data}")
    suite.chosen_splits(splits)
    check_variants(variants or {}, suite.chosen(tasks))
    loaded = None if tokenizer is None else AutoTokenizer.from_pretrained(tokenizer)
    found = []
    for task in suite.chosen(tasks):
        names: Sequence[str | None] = tuple(splits or (*suite.splits, *suite.more_splits) or (None,))
        if splits is None and suite.splits:
            names = [split for split in names if has_part(data, task, "train", split)] or names[:1]
        for split in names:
            own = TaskCheck(task.name, split)
            _check_task(own, data, task, (variants or {}).get(task.name), loaded, asked_for=tasks is not None)
            own.findings.sort(key=lambda one: -SEVERITIES.index(one.severity))
            found.append(own)
    if not any(own.rows for own in found):
        known = ", ".join(task.name for task in suite.chosen(tasks))
        raise ValueError(f"data must have folders of {known} with their official files, got none in {data}")
    return found


def check_tables(found: Sequence[TaskCheck]) -> Iterator[Table | str]:
    """What the command prints: a table of the tasks, a row of each class, and what is suspicious."""
    table = Table("task", "rows", "cut off", "errors", "warnings", "notes")
    for own in found:
        counts = Counter(one.severity for one in own.findings)
        rows = ", ".join(f"{part} {number:,}" for part, number in own.rows.items())
        cut = ", ".join(f"{part} {100 * share:.0f} %" for part, share in own.cut.items() if share)
        numbers = (str(counts[severity]) for severity in reversed(SEVERITIES))
        table.add_row(own.name, rows or "–", cut or "–", *numbers)
    yield table
    for own in found:
        if own.labels:
            classes = Table("class", "rows", "one of them", title=own.name)
            for label, numbers_of in own.labels.items():
                told = ", ".join(f"{part} {number}" for part, number in numbers_of.items() if number)
                classes.add_row(label, told, own.shown.get(label, "–"))
            yield classes
    for own in found:
        for one in own.findings:
            number = f"{one.number} of {one.of} " if one.of else ""
            yield f"{one.severity}: {own.name}, {one.file}: {number}{one.message}"
            yield from (f"    {place}" for place in one.places)


def _check_task(
    own: TaskCheck, data: Path, task: SuiteTask, variant: str | None, tokenizer: Any, asked_for: bool
) -> None:
    read: dict[str, list[Row]] = {}
    for part in task.files:
        try:
            paths = find_part(data, task, part, own.split)
        except ValueError as error:
            grave = asked_for and part in ("train", "validation")
            own.add("error" if grave else "warning", "missing", part, str(error))
            continue
        rows = _read(own, task, part, paths, variant)
        if rows is not None:
            read[part] = rows
            _check_rows(own, task, part, rows)
    try:
        kind = job_class(task, task.options)
    except ValueError as error:
        own.add("error", "job", "train", str(error))
        return
    options = {**label_options(kind, task, data), **of_job(kind, task.options)}
    _check_examples(
        own, task, partial(kind, **options), {part: usable(task, rows) for part, rows in read.items()}, tokenizer
    )


def _read(own: TaskCheck, task: SuiteTask, part: str, paths: Sequence[Path], variant: str | None) -> list[Row] | None:
    """The rows of a part but for those that cannot be read; None if none can."""
    with _warnings_to(lambda message: own.add("warning", "read otherwise", part, message)):
        found = read_around_faults(lambda files: read_files(task, part, files, variant), paths)
    if found.number:
        rest = found.number - len(found.faults)
        places = [*found.faults, *([f"and {rest} more"] if rest else [])]
        message = "lines cannot be read, and are left out below" if found.all_found else "lines or more cannot be read"
        own.findings.append(Finding("error", "unreadable", part, message, found.number, found.of, places))
    else:
        for fault in found.faults:
            own.add("error", "unreadable", part, fault)
    return None if found.faults and not found.rows else found.rows


@contextmanager
def _warnings_to(take: Callable[[str], None]) -> Iterator[None]:
    """Give what readers only warn of, such as answers that stand elsewhere than given, to a function instead."""

    class Taken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            take(record.getMessage())

    logger, handler = logging.getLogger("hf_ext"), Taken(logging.WARNING)
    logger.addHandler(handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)


def _check_rows(own: TaskCheck, task: SuiteTask, part: str, rows: Sequence[Row]) -> None:
    labelled = usable(task, rows) if part in task.labelled else rows
    own.rows[part] = len(rows)
    if len(labelled) < len(rows):
        own.left_out[part] = left = len(rows) - len(labelled)
        names = ", ".join(map(repr, task.no_label))
        own.add("note", "no label", part, f"{left} of {len(rows)} rows are labelled {names} and left out")
    wanted = task.counts.get(f"{part}_{own.split}", task.counts.get(part))
    there, what = len(labelled), "rows"
    if task.counted is not None:
        there, what = len({row.example[task.counted] for row in labelled}), f"{task.counted}s of rows"
    if wanted is not None and wanted != there:
        own.add("warning", "count", part, f"{there:,} {what} are there, officially {wanted:,}")
    if part not in task.labelled:
        repeated = [name for name, number in Counter(str(row.id) for row in rows).items() if number > 1]
        if repeated:
            told = ", ".join(repeated[:_SHOWN])
            own.add("error", "ids", part, f"{len(repeated)} ids are there more than once: {told}")


def _check_examples(
    own: TaskCheck, task: SuiteTask, make_job: Callable[..., Job], read: Mapping[str, Sequence[Row]], tokenizer: Any
) -> None:
    """What the job itself would say of the examples, of those to be predicted without what concerns labels."""
    checked: dict[str, list[CheckedExample]] = {}
    labels, labels_are_named = tuple(task.labels), False
    with TemporaryDirectory() as folder:
        for part, rows in read.items():
            path = Path(folder) / f"{part}.jsonl"
            write_examples(rows, path)
            # It is made of neither; a job has one of them.
            job = make_job(train_file=path, validation_file=path, config="tiny")
            labels_are_named = job.labels_are_named
            try:
                if part in task.labelled:
                    # What it warns of was told of the official file.
                    with _warnings_to(lambda message: None), official_places({path: rows}):
                        # Without a training file it is one by itself.
                        alone = part == "train" or not (labels or "train" in read)
                        files = job.read() if alone else None
                        examples = files.train if files else job.read_evaluation(path, labels)
                    if part == "train" and files:
                        labels = tuple(files.labels)
                else:
                    stand_in = {"label": task.labels[0]} if task.labels else task.unlabelled
                    examples = [{**row.example, **stand_in} for row in rows]
            except ValueError as error:
                # The file is one that nobody has.
                message = " ".join(str(error).split()).replace(str(path), f"the examples of {part}")
                own.add("error", "unreadable", part, message)
                continue
            if not examples:
                own.add("error", "no examples", part, "there are none")
                continue
            counter = tokenizer or job.new_tokenizer(text for one in examples for text in job.texts(one))
            checked[part] = _checked(own, job, part, examples, counter, part in task.labelled)
            _show_classes(own, checked[part])
    findings = check_files(checked, labels_are_named)
    own.findings += [one for one in findings if one.file in task.labelled or one.kind not in _OF_LABELS]
    if task.labels or task.job == "ner":
        own.labels = label_counts({part: one for part, one in checked.items() if part in task.labelled})


def _checked(
    own: TaskCheck,
    job: Job,
    part: str,
    examples: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    is_labelled: bool,
) -> list[CheckedExample]:
    for option, (lengths, limit) in job.token_counts(examples, tokenizer).items():
        own.findings += check_lengths(part, option, lengths, limit, job.reads_windows)
        own.cut[part] = sum(length > limit for length in lengths) / len(lengths)
    found = []
    for example in examples:
        labels = tuple(item.name for item in job.items_of(example)) if is_labelled else ()
        answer = job.answer_of(example) if is_labelled else None
        found.append(CheckedExample(tuple(job.inputs_of(example)), answer, labels))
    return found


def _show_classes(own: TaskCheck, examples: Sequence[CheckedExample]) -> None:
    for example in examples:
        for label in example.labels:
            if label not in own.shown:
                text = " ".join(" | ".join(example.texts).split())
                more = "…" if len(text) > _BEGINNING else ""
                own.shown[label] = f"{text[:_BEGINNING]}{more}"
