"""What is suspicious about files of examples: repetitions, leaks, contradictions, texts that are cut, spans lost."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SEVERITIES = ("note", "warning", "error")
"""What a finding means, from the mildest: worth knowing; worth mending; no training, or no honest score."""

# Places that a finding names.
_SHOWN = 3
# Below this a label is hardly learnt.
_FEW = 5


@dataclass(frozen=True)
class CheckedExample:
    """What is checked of an example.

    Attributes:
        texts: what a model reads.
        answer: what it is to say of them; examples with the same texts and other answers contradict each other.
        labels: of which the answer is made, if it is labels.
        lost: number of its labels that no model can learn, as they fit no tokens or no window.
    """

    texts: tuple[str, ...]
    answer: Hashable = None
    labels: tuple[str, ...] = ()
    lost: int = 0


@dataclass(frozen=True)
class Finding:
    """Something suspicious.

    Attributes:
        severity: one of `SEVERITIES`.
        kind: what it is, in a word or two.
        file: in which: ``"train"``, ``"validation"`` or ``"test"``.
        message: what it is; after the two numbers a sentence.
        number: of what the message begins with.
        of: so many of them that there are; 0 if it is not a matter of numbers.
        places: numbers of some of the examples, from 1, those that belong together joined, each with the beginning of
            its text.
    """

    severity: str
    kind: str
    file: str
    message: str
    number: int = 0
    of: int = 0
    places: list[str] = field(default_factory=list)


def worst_severity(findings: Iterable[Finding]) -> str | None:
    """The gravest severity of some findings; None if there are none."""
    return max((one.severity for one in findings), key=SEVERITIES.index, default=None)


def check_files(files: Mapping[str, Sequence[CheckedExample]], labels_are_named: bool = False) -> list[Finding]:
    """What is suspicious about files, file by file and between them.

    Args:
        files: their examples by ``"train"``, ``"validation"`` and ``"test"``, as many as there are.
        labels_are_named: a schema or the like says which labels there are; else those of training are all.
    """
    findings: list[Finding] = []
    seen: dict[str, dict[tuple[str, ...], int]] = {}
    for name, examples in files.items():
        if not examples:
            findings.append(Finding("error", "no examples", name, "the file has none"))
            continue
        findings += _empty_texts(name, examples)
        findings += _repetitions(name, examples)
        first = _first_of_each(examples)
        findings += _leaks(name, examples, seen)
        seen[name] = first
        findings += _lost_labels(name, examples)
    findings += _rare_labels(files, labels_are_named)
    return findings


def check_lengths(file: str, option: str, lengths: Sequence[int], limit: int, windows: bool) -> list[Finding]:
    """The examples that are longer than a model takes.

    Args:
        file: ``"train"``, ``"validation"`` or ``"test"``.
        option: what sets the limit.
        lengths: tokens of each example.
        limit: most tokens.
        windows: whether what is longer is read in windows, and not cut off.
    """
    long = [number for number, length in enumerate(lengths, start=1) if length > limit]
    if not long:
        return []
    becomes = "read in windows" if windows else "cut off"
    message = (
        f"examples have more than {limit} tokens ({option}), the longest {max(lengths)}; what is beyond is {becomes}"
    )
    kind = "windows" if windows else "cut off"
    severity = "note" if windows else "warning"
    places = [f"{number} ({lengths[number - 1]} tokens)" for number in long[:_SHOWN]]
    return [Finding(severity, kind, file, message, len(long), len(lengths), places)]


def label_counts(files: Mapping[str, Sequence[CheckedExample]]) -> dict[str, dict[str, int]]:
    """How often each label occurs in each file, the most frequent of the first file first."""
    counts = {
        name: Counter(label for example in examples for label in example.labels) for name, examples in files.items()
    }
    labels = sorted({label for own in counts.values() for label in own}, key=lambda one: _rank(one, counts))
    return {label: {name: own[label] for name, own in counts.items()} for label in labels}


def _rank(label: str, counts: Mapping[str, Counter[str]]) -> tuple[list[int], str]:
    return [-own[label] for own in counts.values()], label


def _empty_texts(name: str, examples: Sequence[CheckedExample]) -> list[Finding]:
    empty = [number for number, one in enumerate(examples, start=1) if not all(text.strip() for text in one.texts)]
    if not empty:
        return []
    places = [str(number) for number in empty[:_SHOWN]]
    return [Finding("warning", "empty", name, "examples have a blank text", len(empty), len(examples), places)]


def _repetitions(name: str, examples: Sequence[CheckedExample]) -> list[Finding]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, example in enumerate(examples, start=1):
        groups.setdefault(example.texts, []).append(number)
    same: list[list[int]] = []
    other: list[list[int]] = []
    for numbers in groups.values():
        if len(numbers) > 1:
            answers = {examples[number - 1].answer for number in numbers}
            (same if len(answers) == 1 else other).append(numbers)
    findings = []
    for groups_of, severity, kind, message in (
        (other, "warning", "conflict", "examples have the texts of another and are labelled otherwise"),
        (same, "note" if name == "train" else "warning", "duplicate", "examples repeat another, with the same labels"),
    ):
        if groups_of:
            number = sum(map(len, groups_of)) - (len(groups_of) if kind == "duplicate" else 0)
            places = [
                f"{', '.join(map(str, numbers[:4]))} ({_beginning(examples[numbers[0] - 1])})"
                for numbers in groups_of[:_SHOWN]
            ]
            findings.append(Finding(severity, kind, name, message, number, len(examples), places))
    return findings


def _first_of_each(examples: Sequence[CheckedExample]) -> dict[tuple[str, ...], int]:
    first: dict[tuple[str, ...], int] = {}
    for number, example in enumerate(examples, start=1):
        first.setdefault(example.texts, number)
    return first


def _leaks(
    name: str, examples: Sequence[CheckedExample], seen: Mapping[str, Mapping[tuple[str, ...], int]]
) -> list[Finding]:
    findings = []
    for source, known in seen.items():
        pairs = [(number, known[one.texts]) for number, one in enumerate(examples, start=1) if one.texts in known]
        if pairs:
            places = [
                f"{number} is {there} of {source} ({_beginning(examples[number - 1])})"
                for number, there in pairs[:_SHOWN]
            ]
            message = f"examples have texts that the {source} file has too"
            findings.append(Finding("warning", "leak", name, message, len(pairs), len(examples), places))
    return findings


def _lost_labels(name: str, examples: Sequence[CheckedExample]) -> list[Finding]:
    lost = [(number, one) for number, one in enumerate(examples, start=1) if one.lost]
    if not lost:
        return []
    message = "labels begin or end inside a token, overlap where they may not, or fit in no window; they are not learnt"
    places = [f"{number} ({_beginning(one)})" for number, one in lost[:_SHOWN]]
    number, total = sum(one.lost for _, one in lost), sum(len(one.labels) for one in examples)
    return [Finding("warning", "lost", name, message, number, total, places)]


def _rare_labels(files: Mapping[str, Sequence[CheckedExample]], labels_are_named: bool) -> list[Finding]:
    counts = label_counts(files)
    rare = [label for label, own in counts.items() if 0 < own.get("train", 0) < _FEW]
    findings = []
    if rare:
        message = f"labels occur less than {_FEW} times: {_listed(rare)}"
        findings.append(Finding("note", "rare", "train", message, len(rare), len(counts)))
    for name in files:
        if name == "train" or not files[name]:
            continue
        unseen = [label for label, own in counts.items() if own[name] and not own.get("train", 0)]
        unscored = [label for label, own in counts.items() if not own[name]]
        if unseen and "train" in files:
            message = f"labels are not in the training file: {_listed(unseen)}"
            severity = "warning" if labels_are_named else "error"
            findings.append(Finding(severity, "unknown", name, message, len(unseen), len(counts)))
        if unscored:
            message = f"labels do not occur, and no score tells of them: {_listed(unscored)}"
            findings.append(Finding("note", "unscored", name, message, len(unscored), len(counts)))
    return findings


def _listed(labels: Sequence[str]) -> str:
    rest = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return ", ".join(labels[:10]) + rest


def _beginning(example: CheckedExample) -> str:
    text = " ".join(" | ".join(example.texts).split())
    return text if len(text) <= 30 else f"{text[:29]}…"
