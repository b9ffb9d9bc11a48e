"""Files of a submission that are one JSON object: the idioms of tags, the answers to questions."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from hf_ext.data.text_lines import FileLine, JsonDocument, TextFileError, is_json_lines
from hf_ext.suites.submission.encoding import Lines
from hf_ext.suites.submission.expected import SubmissionFile
from hf_ext.suites.submission.faults import Faults

CANDIDATES = 10
"""Of a blank of CHID."""

Entries = list[tuple[int, str, Any]]


def check_object(lines: Lines, file: SubmissionFile, faults: Faults) -> None:
    """Add what is wrong with the one object of a file.

    Args:
        lines: all of the file.
        file: what it has to have.
        faults: of the file.
    """
    placed = [(FileLine(faults.file, number), line) for number, line in lines if line.strip()]
    if is_json_lines(placed):
        faults.add(1, "JSON", "the file must be one JSON object, got an object on each line")
        return
    if not placed:
        faults.add(1, "JSON", "the file must be one JSON object, got blank lines")
        return
    try:
        document = JsonDocument(placed)
    except TextFileError as error:
        number = error.where.number if isinstance(error.where, FileLine) else None
        faults.add(number, "JSON", error.message)
        return
    if not isinstance(document.value, dict):
        faults.add(1, "JSON", f"the file must be one JSON object, got a {type(document.value).__name__}")
        return
    entries = [(document.where(at).number, str(key), value) for key, at, value in document.members()]
    _check_keys(entries, file, faults, placed[-1][0].number)
    _CHECKS[file.kind](entries, file, faults)


def _check_keys(entries: Entries, file: SubmissionFile, faults: Faults, last: int) -> None:
    known = {str(identifier) for identifier in file.ids}
    first: dict[str, int] = {}
    for number, key, _ in entries:
        if key in first:
            faults.add(number, "repeated id", f"an id must be there once, got {key!r} on line {first[key]} already")
        elif known and key not in known:
            faults.add(number, "unknown id", f"id must be one of the test file, got {key!r}")
        first.setdefault(key, number)
    missing = [str(identifier) for identifier in file.ids if str(identifier) not in first]
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        faults.add(last, "missing id", f"every id of the test file must be there, {len(missing)} are not: {shown}")


def _check_idioms(entries: Entries, file: SubmissionFile, faults: Faults) -> None:
    places = {str(identifier): place for place, identifier in enumerate(file.ids)}
    used: dict[tuple[Hashable, int], str] = {}
    for number, tag, idiom in entries:
        at = places.get(tag)
        candidates = file.choices[at] if file.choices and at is not None else CANDIDATES
        if type(idiom) is not int or not 0 <= idiom < candidates:
            message = f"the idiom of {tag} must be an integer of 0 to {candidates - 1}, got {idiom!r}"
            faults.add(number, "idiom", message)
        elif file.lines and at is not None:
            other = used.setdefault((file.lines[at], idiom), tag)
            if other != tag:
                message = f"no idiom answers two blanks of a line, got {idiom} for {other} and {tag}"
                faults.warn(number, "idiom twice", message)


def _check_answers(entries: Entries, file: SubmissionFile, faults: Faults) -> None:
    contexts = dict(zip(map(str, file.ids), file.texts))
    for number, identifier, answer in entries:
        if not isinstance(answer, str):
            faults.add(number, "answer", f"the answer to {identifier} must be a string, got {answer!r}")
        elif not answer.strip():
            faults.warn(number, "answer", f"the answer to {identifier} must not be blank")
        elif identifier in contexts and answer not in contexts[identifier]:
            same = _plain(answer) in _plain(contexts[identifier])
            hint = " but for the case of letters or white space" if same else ""
            message = f"the answer to {identifier} must be in its context, {answer[:40]!r} is not{hint}"
            faults.warn(number, "answer elsewhere", message)


def _plain(text: str) -> str:
    return "".join(text.lower().split())


_CHECKS: Mapping[str, Callable[[Entries, SubmissionFile, Faults], None]] = {
    "idioms": _check_idioms,
    "answers": _check_answers,
}
