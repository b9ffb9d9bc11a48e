"""The results of a card: which file they are of, as tables, and as the Hub's model index."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from os import fspath
from typing import Any

from huggingface_hub import EvalResult
from transformers import Trainer

from hf_ext.training.model_card.facts import CardFacts, CardFile

# Names of metrics at https://hf.co/metrics, where they differ from ours; what they are of stands in the name beside.
_ON_THE_HUB = {"spearman": "spearmanr"} | dict.fromkeys(("rouge1", "rouge2", "rougeL"), "rouge")
_OF_WHAT = re.compile(r"(macro|event|answerable|no_answer|retrieval)_")
# What is counted, timed or chosen, or is of another model than the saved one.
_NO_METRIC = re.compile(r".*support|.*total|skipped|.*threshold|.*_before|.*runtime|.*_time|.*_per_second|epoch|step")


@dataclass(frozen=True)
class Evaluation:
    """The scores on a file.

    Attributes:
        file: with its part: ``"validation"`` or ``"test"``.
        scores: numbers, and tables of numbers by type.
    """

    file: CardFile
    scores: Mapping[str, Any]

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of the whole file that say how good the model is."""
        return {name: value for name, value in numbers(self.scores).items() if not _NO_METRIC.fullmatch(name)}

    @property
    def parts(self) -> dict[str, Mapping[str, Mapping[str, float]]]:
        """Tables by their titles: the rows, of a label each, and in them the columns."""
        return {
            spoken(name).replace("per ", "each "): {label: numbers(row) for label, row in value.items()}
            for name, value in self.scores.items()
            if isinstance(value, Mapping) and value and all(isinstance(row, Mapping) for row in value.values())
        }


def numbers(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are numbers."""
    return {
        str(name): value for name, value in scores.items() if isinstance(value, Real) and not isinstance(value, bool)
    }


def evaluations(trainer: Trainer, facts: CardFacts) -> list[Evaluation]:
    """The scores of the saved model: those of the facts, tests first, or else what Trainer measured of it."""
    if facts.scores is None:
        measured = measured_by(trainer)
        file = next((one for one in facts.files if one.part == "validation"), CardFile("validation", "evaluation data"))
        return [Evaluation(file, measured)] if measured else []
    known = {fspath(one.path): one for one in facts.files if one.part != "train"}
    found = [
        Evaluation(known.get(fspath(path), CardFile("test", path)), scores) for path, scores in facts.scores.items()
    ]
    return sorted(found, key=lambda one: one.file.part == "validation")


def measured_by(trainer: Trainer) -> dict[str, Any]:
    """The evaluation of the saved model in a Trainer's log, with the scores of labels in a table of their own.

    That is the last one after training; without it, that of the best step where the best model is kept, or else the
    last one, as it is while training goes on.
    """
    log = trainer.state.log_history
    evaluated = [entry for entry in log if any(name.startswith("eval_") for name in entry)]
    if not evaluated:
        return {}
    end = max((index for index, entry in enumerate(log) if "train_runtime" in entry), default=len(log))
    after = [entry for entry in log[end:] if entry in evaluated]
    best = trainer.state.best_global_step if kept_best(trainer) else None
    of_best = [entry for entry in evaluated if entry["step"] == best]
    entry = (after or of_best or evaluated)[-1]
    values = {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
    values = {name: value for name, value in values.items() if not _NO_METRIC.fullmatch(name)}
    config: Any = getattr(trainer.model, "config", None)
    labels = [str(label) for label in (getattr(config, "id2label", None) or {}).values()]
    per_label: dict[str, dict[str, float]] = {label: {} for label in labels}
    # The longest first: of "a_b" and "b", `f1_a_b` is of the first.
    for label in sorted(labels, key=len, reverse=True):
        for name in [one for one in values if one.endswith(f"_{label}")]:
            per_label[label][name.removesuffix(f"_{label}")] = values.pop(name)
    per_label = {label: row for label, row in per_label.items() if row}
    return {**values, **({"per_label": per_label} if per_label else {})}


def kept_best(trainer: Trainer) -> bool:
    """Whether training has ended with the model of the best evaluation, and not with that of the last step."""
    best = trainer.args.load_best_model_at_end and trainer.state.best_model_checkpoint
    return bool(best) and not goes_on(trainer)


def goes_on(trainer: Trainer) -> bool:
    """Whether training has begun and is not at its end, as when a checkpoint is uploaded."""
    state = trainer.state
    ends = [entry["step"] for entry in state.log_history if "train_runtime" in entry]
    return state.global_step > 0 and state.global_step not in ends


def origin_of_scores(trainer: Trainer, evaluation: Evaluation, facts: CardFacts) -> str:
    """What the file of an evaluation is, and whether the model was chosen by it."""
    file = evaluation.file
    count = "" if file.count is None else f" ({file.count:,} {facts.examples})"
    # An option that says "best" has been chosen by the scores, too.
    chosen = [spoken(name) for name, value in facts.options.items() if value == "best"]
    if file.part != "validation":
        what = " or a ".join(["checkpoint", *chosen])
        return f"`{file.name}`{count} is a test file: it had no part in training or in choosing a {what}."
    start = f"`{file.name}`{count} is " if file.path != "evaluation data" else "These are scores on "
    if goes_on(trainer):
        step = f"{trainer.state.global_step:,} of {trainer.state.max_steps:,}"
        return f"{start}the validation data. Training goes on: this is step {step}."
    less = "On data that had no part in the choice, expect somewhat less."
    if not kept_best(trainer):
        if chosen:
            what = " and the ".join(chosen)
            return f"{start}the validation data, **by which the {what} was chosen** of the model at the end. {less}"
        return f"{start}the validation data. The model is the one at the end of training; no score has chosen it."
    steps = {entry["step"] for entry in trainer.state.log_history if any(name.startswith("eval_") for name in entry)}
    metric = spoken(str(trainer.args.metric_for_best_model or "loss").removeprefix("eval_"))
    then = "".join(f", and then the {one}" for one in chosen)
    return (
        f"{start}the validation data, **by which the checkpoint was chosen**: that of step "
        f"{trainer.state.best_global_step:,}, the best of {len(steps)} by {metric}{then}. {less}"
    )


def results_table(found: Sequence[Evaluation]) -> str:
    """The numbers of whole files, and the words that say of what they are: a row a metric, a column a file."""
    told = [
        {name: value for name, value in one.scores.items() if isinstance(value, str)} | numbers(one.scores)
        for one in found
    ]
    names = dict.fromkeys(name for scores in told for name in scores)
    rows = [[spoken(name), *(shown(scores.get(name)) for scores in told)] for name in names]
    return table(["", *(f"{one.file.name} ({one.file.part})" for one in found)], rows)


def part_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The numbers of each label."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    return table(
        ["", *map(spoken, columns)],
        [[label, *(shown(row.get(name)) for name in columns)] for label, row in rows.items()],
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table of Markdown, whose first columns are words and the others numbers."""
    lines = ["|".join(("", *map(cell, row), "")) for row in (head, *rows)]
    return "\n".join((lines[0], "|" + "---|" * words + "---:|" * (len(head) - words), *lines[1:]))


def cell(text: Any) -> str:
    """A text as it is, in a cell of a table of Markdown: no letter of it means a format."""
    escaped = re.sub(r"([\\`*|\[\]~$]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(str(text).split()))
    return f" {escaped.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')} "


def shown(value: float | str | None) -> str:
    """A number, or a word, for readers."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Integral):
        return f"{int(value):,}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


def spoken(name: str) -> str:
    """The name of a metric for readers."""
    return re.sub(r"\bf1\b", "F1", name.replace("_", " "))


def model_index(found: Sequence[Evaluation], task: str) -> list[EvalResult]:
    """The numbers of whole files as the Hub reads them."""
    return [
        EvalResult(
            task_type=task,
            dataset_type=one.file.name,
            dataset_name=one.file.name,
            dataset_split=one.file.part,
            metric_type=_hub_metric(name),
            metric_name=spoken(name),
            metric_value=round(float(value), 6),
        )
        for one in found
        for name, value in one.metrics.items()
    ]


def hub_metrics(found: Sequence[Evaluation]) -> list[str]:
    """Names of the metrics at https://hf.co/metrics."""
    return list(dict.fromkeys(_hub_metric(name) for one in found for name in one.metrics))


def _hub_metric(name: str) -> str:
    return _ON_THE_HUB.get(name, _OF_WHAT.sub("", name, count=1))


def readable_size(size: int) -> str:
    """Bytes in the unit that suits them."""
    value = float(size)
    for unit in ("bytes", "KB", "MB"):
        if value < 1000:
            return f"{size:,} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def file_table(files: Sequence[CardFile], examples: str) -> str:
    """The files of a run: what for, how many examples, how large."""
    rows = [
        [
            one.name,
            {"train": "training"}.get(one.part, one.part),
            "" if one.count is None else f"{one.count:,}",
            "" if one.size is None else readable_size(one.size),
        ]
        for one in files
    ]
    return table(["file", "for", examples, "size"], rows, words=2)
