"""Files of a submission with a JSON object on each line: classes, choices, entities, relations and events."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hf_ext.data.listed_labels import listed_labels
from hf_ext.data.text_lines import FileLine, TextFileError, parse_json
from hf_ext.suites.scorers.duee import check_duee_row
from hf_ext.suites.scorers.duie import check_duie_row
from hf_ext.suites.submission.encoding import Lines
from hf_ext.suites.submission.expected import SubmissionFile
from hf_ext.suites.submission.faults import Faults
from hf_ext.tasks.events.labels import event_label

Rows = list[tuple[int, Mapping[str, Any]]]


def check_lines(lines: Lines, file: SubmissionFile, faults: Faults) -> None:
    """Add what is wrong with the lines of a file.

    Args:
        lines: all of them.
        file: what it has to have.
        faults: of the file.
    """
    if _is_one_value(lines):
        faults.add(1, "JSON", "the file must have a JSON object on each line, got one list or object of all rows")
        return
    rows: Rows = []
    for number, line in lines:
        if not line.strip():
            faults.add(number, "blank line", "a line must not be blank")
            continue
        repeated: list[str] = []
        try:
            record = parse_json(line, FileLine(faults.file, number), partial(_object, repeated=repeated))
        except TextFileError as error:
            faults.add(number, "JSON", error.message)
            continue
        for key in repeated:
            faults.add(number, "repeated key", f"a key must be in an object once, got {key!r} more often")
        if isinstance(record, Mapping):
            rows.append((number, record))
        else:
            faults.add(number, "JSON", f"a line must be a JSON object, got {line[:60]}")
    last = lines[-1][0] if lines else None
    if file.kind == "relations":
        _check_texts(rows, file, faults, last)
    elif file.ids:
        _check_number(rows, file, faults, last)
    if file.kind == "lines":
        return
    if file.kind != "relations" and file.ids:
        _check_ids(rows, file, faults, last)
    positions = _positions([_name(record.get("id")) for _, record in rows], list(map(_name, file.ids)))
    for (number, record), position in zip(rows, positions):
        _CHECKS[file.kind](number, record, position, file, faults)


def _object(pairs: list[tuple[str, Any]], repeated: list[str]) -> dict[str, Any]:
    """The object of its pairs; keys that it has more than once are added to ``repeated``."""
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated += [key for key in made if counts[key] > 1]
    return made


def _is_one_value(lines: Lines) -> bool:
    """Whether a file of several lines is one JSON value, as a list of rows or an indented object."""
    filled = [line for _, line in lines if line.strip()]
    if not filled:
        return False
    try:
        value = json.loads("\n".join(filled))
    except (ValueError, RecursionError):
        return False
    return len(filled) > 1 or isinstance(value, list)


def _count_lines(names: list[str], wanted: list[str]) -> bool:
    """Whether ids count the lines from 0, where those of the test file do not."""
    return names == [str(number) for number in range(len(names))] and names != wanted[: len(names)]


def _positions(names: list[str], wanted: list[str]) -> list[int | None]:
    """The row of the test file that each line is of, if that can be told."""
    if not _count_lines(names, wanted):
        places = {name: place for place, name in enumerate(wanted)}
        return [places.get(name) for name in names]
    # Where the test file has the same numbers in another order, the rows may have been sorted by them.
    known = not set(names) <= set(wanted)
    return [number if known and number < len(wanted) else None for number in range(len(names))]


def _name(identifier: Any) -> str:
    """An id to compare: sites take 12 and "12" for the same."""
    return str(identifier) if type(identifier) in (int, str) else ""


def _check_number(rows: Rows, file: SubmissionFile, faults: Faults, last: int | None) -> None:
    if len(rows) != len(file.ids):
        message = f"the file must have {len(file.ids)} lines, one for each row of the test file, got {len(rows)}"
        faults.add(last, "number", message)


def _check_ids(rows: Rows, file: SubmissionFile, faults: Faults, last: int | None) -> None:
    wanted = [_name(identifier) for identifier in file.ids]
    ordered = file.kind != "events"
    for number, record in rows:
        if type(record.get("id")) not in (int, str):
            faults.add(number, "id", f"id must be a string or an integer, got {record.get('id')!r}")
    found = [(number, _name(record.get("id"))) for number, record in rows]
    names = [name for _, name in found]
    if ordered and _count_lines(names, wanted):
        own = ", ".join(wanted[:3])
        message = f"ids count the lines from 0, those of the test file are {own}, ...; both have been scored"
        if set(names) <= set(wanted):
            message += ", but if the rows were sorted by their ids they answer others"
        faults.warn(found[0][0], "running ids", message)
        return
    known, first = set(wanted), dict[str, int]()
    for number, name in found:
        if name in first:
            faults.add(number, "repeated id", f"an id must be on one line, got {name!r} on line {first[name]} already")
        elif name and name not in known:
            faults.add(number, "unknown id", f"id must be one of the test file, got {name!r}")
        first.setdefault(name, number)
    _add_missing([name for name in wanted if name not in first], "id", faults, last)
    there = [(number, name) for number, name in found if name in known and first[name] == number]
    if ordered:
        kept = [name for name in wanted if name in first]
        other = next(((line, got, want) for (line, got), want in zip(there, kept) if got != want), None)
        if other is not None:
            line, got, want = other
            faults.add(line, "order", f"ids must be in the order of the test file, {want!r} here, got {got!r}")


def _add_missing(missing: list[str], what: str, faults: Faults, last: int | None) -> None:
    if missing:
        shown = ", ".join(one[:40] for one in missing[:3]) + (", ..." if len(missing) > 3 else "")
        faults.add(
            last, f"missing {what}", f"every {what} of the test file must be there, {len(missing)} are not: {shown}"
        )


def _check_texts(rows: Rows, file: SubmissionFile, faults: Faults, last: int | None) -> None:
    if not file.texts:
        return
    wanted, found = Counter(file.texts), Counter[str]()
    for number, record in rows:
        text = record.get("text")
        if not isinstance(text, str):
            continue
        found[text] += 1
        if text not in wanted:
            faults.add(number, "unknown text", f"text must be one of the test file, untouched, got {text[:40]!r}")
        elif found[text] > wanted[text]:
            faults.warn(number, "repeated text", f"a text must be on one line, of which the last counts: {text[:40]!r}")
    _add_missing([text for text in wanted if text not in found], "text", faults, last)


def _check_label(number: int, record: Mapping[str, Any], at: int | None, file: SubmissionFile, faults: Faults) -> None:
    label = record.get("label")
    if not isinstance(label, str):
        faults.add(number, "label", f"label must be a string, got {label!r}")
    elif file.choices:
        choices = _choices(file, at)
        if label not in map(str, range(choices)):
            faults.add(number, "label", f"label must be the number of a choice, 0 to {choices - 1}, got {label!r}")
    elif file.labels and label not in file.labels:
        hint = "; a class goes by its name, not by its number" if label.isdecimal() else ""
        faults.add(number, "label", f"label must be one of {listed_labels(file.labels)}, got {label!r}{hint}")


def _check_answer(number: int, record: Mapping[str, Any], at: int | None, file: SubmissionFile, faults: Faults) -> None:
    answer = record.get("answer")
    if type(answer) is not int:
        faults.add(number, "answer", f"answer must be an integer, got {answer!r}")
    elif answer < 0 or (file.choices and answer >= _choices(file, at)):
        choices = f"0 to {_choices(file, at) - 1}" if file.choices else "from 0"
        faults.add(number, "answer", f"answer must be the number of a candidate, {choices}, got {answer}")


def _choices(file: SubmissionFile, at: int | None) -> int:
    """How many choices a row has; of one that is not known the most that any has."""
    return max(file.choices) if at is None else file.choices[at]


def _check_entities(
    number: int, record: Mapping[str, Any], at: int | None, file: SubmissionFile, faults: Faults
) -> None:
    label = record.get("label")
    text: Any = file.texts[at] if file.texts and at is not None else record.get("text")
    if record.get("text", text) != text:
        faults.add(number, "text", f"text must be that of the test file, {text[:40]!r}, got {record['text']!r:.60}")
    if not isinstance(label, Mapping) or not all(isinstance(strings, Mapping) for strings in label.values()):
        faults.add(number, "label", "label must be an object of types, each an object of strings with their places")
        return
    for kind, strings in label.items():
        if file.labels and kind not in file.labels:
            faults.add(number, "label", f"a type must be one of {listed_labels(file.labels)}, got {kind!r}")
        for string, places in strings.items():
            if not isinstance(places, list) or not all(map(_is_span, places)):
                message = f"the places of {string!r} must be a list of [first, last], got {str(places)[:60]}"
                faults.add(number, "span", message)
                continue
            if not places:
                faults.warn(
                    number, "span", f"{string!r} must have a place, got none; the scorer counts it all the same"
                )
            for first, last in places if isinstance(text, str) else ():
                if not 0 <= first <= last < len(text):
                    message = f"a span must be in its text of {len(text)} characters, got [{first}, {last}]"
                    faults.add(number, "span", message)
                elif text[first : last + 1] != string:
                    there = text[first : last + 1]
                    hint = ", so ends are exclusive?" if text[first:last] == string else ""
                    message = f"at [{first}, {last}] there must be {string!r}, got {there!r}{hint}"
                    faults.add(number, "span", message)


def _is_span(place: Any) -> bool:
    return isinstance(place, list) and len(place) == 2 and all(type(one) is int for one in place)


def _check_relations(
    number: int, record: Mapping[str, Any], at: int | None, file: SubmissionFile, faults: Faults
) -> None:
    fault = check_duie_row(record)
    if fault is not None:
        faults.add(number, "schema", f"{fault}, at which the scorer stops")
        return
    for spo in record["spo_list"]:
        if file.labels and spo["predicate"] not in file.labels:
            faults.add(
                number, "label", f"predicate must be one of {listed_labels(file.labels)}, got {spo['predicate']!r}"
            )
        if "@value" not in spo["object"]:
            faults.add(number, "slot", f"an object must have '@value', got {', '.join(spo['object']) or 'nothing'}")


def _check_events(number: int, record: Mapping[str, Any], at: int | None, file: SubmissionFile, faults: Faults) -> None:
    fault = check_duee_row(record)
    if fault is not None:
        faults.add(number, "schema", fault)
        return
    text = file.texts[at] if file.texts and at is not None else None
    for event in record["event_list"]:
        for argument in event["arguments"]:
            label = event_label(event["event_type"], argument["role"])
            if file.labels and label not in file.labels:
                faults.add(number, "label", f"type and role must be one of {listed_labels(file.labels)}, got {label!r}")
            if text is not None and argument["argument"].lower() not in text.lower():
                faults.warn(number, "argument", f"an argument must be in its text, got {argument['argument']!r}")


_CHECKS: Mapping[str, Callable[[int, Mapping[str, Any], int | None, SubmissionFile, Faults], None]] = {
    "label": _check_label,
    "answer": _check_answer,
    "entities": _check_entities,
    "relations": _check_relations,
    "events": _check_events,
}
