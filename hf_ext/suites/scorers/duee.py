"""DuEE 1.0: F1 of arguments, each right by as much as its characters are, as the organisers describe it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hf_ext.tasks.events.labels import TRIGGER


class _Argument(NamedTuple):
    kind: tuple[str, str]
    strings: tuple[str, ...]


def character_f1(found: str, true: str) -> float:
    """F1, in [0, 1], of the characters that two strings have in common, case ignored.

    The organisers say "the number of characters in common", and their script was not published. Here characters count
    as often as they stand in both: a multiset. A set would take 哈 for all of 哈哈哈, a subsequence (which the original
    of article 7321 computes) would ask for their order.
    """
    one, other = found.lower(), true.lower()
    common = (Counter(one) & Counter(other)).total()
    # 2PR / (P + R), P = common / len(one) and R = common / len(other).
    return 2 * common / (len(one) + len(other)) if common else 0.0


def duee_scores(predictions: Iterable[Mapping[str, Any]], references: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Score the arguments of events as DuEE 1.0 does.

    A predicted argument scores the best `character_f1` with a true argument, or an alias of one, of the same text, type
    of event and role; else 0. Precision is the sum of the scores over the number of predicted arguments, recall the
    same sum over the number of true ones. Triggers and places do not count, nor which event of its type an argument is
    in: one event an argument scores as much as the event whole.

    As described, nothing keeps two predictions from scoring by the same true argument. So that nobody gains by that
    unawares, ``repeated`` counts the predictions that a text has twice, which a submission should not have.

    Args:
        predictions: ``{"id", "event_list": [{"event_type", "arguments": [{"role", "argument"}]}]}``, all strings.
        references: the same; an argument may have ``alias``, a list of other strings for it. A text without a
            prediction has none of its arguments found.

    Returns:
        ``precision``, ``recall`` and ``f1``, a ratio with the denominator 0 as 0; ``score``, the sum; the numbers
        ``predicted``, ``expected`` and ``repeated`` of arguments.

    Raises:
        ValueError: naming the row, if a key is missing or of another type; if two rows have the same id; if a
            prediction has an id that no reference has.
    """
    found, true = _by_id("predictions", predictions), _by_id("references", references)
    unknown = next((identifier for identifier in found if identifier not in true), None)
    if unknown is not None:
        raise ValueError(f"predictions must be of texts of the references, got the id {unknown!r}")
    score = 0.0
    predicted = expected = repeated = 0
    for identifier, true_arguments in true.items():
        own = found.get(identifier, [])
        strings: dict[tuple[str, str], list[str]] = {}
        for argument in true_arguments:
            strings.setdefault(argument.kind, []).extend(argument.strings)
        for argument in own:
            text = argument.strings[0]
            score += max((character_f1(text, one) for one in strings.get(argument.kind, ())), default=0.0)
        predicted += len(own)
        expected += len(true_arguments)
        repeated += len(own) - len({(one.kind, one.strings[0].lower()) for one in own})
    precision = score / predicted if predicted else 0.0
    recall = score / expected if expected else 0.0
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if score else 0.0,
        "score": score,
        "predicted": predicted,
        "expected": expected,
        "repeated": repeated,
    }


def duee_event_list(events: Iterable[Mapping[str, Any]], shortest: int = 1) -> list[dict[str, Any]]:
    """Events as a submission has them: types, roles and strings, each argument of an event once.

    Args:
        events: as `hf_ext.tasks.events` reads and predicts them, ``{"type", "arguments": [{"role", "text"}]}``, or
            already as in a submission; triggers are left out.
        shortest: characters of the shortest argument to keep; the organisers' baseline gives 2.

    Returns:
        Dicts ``{"event_type", "arguments": [{"role", "argument"}]}`` of the events that have arguments.
    """
    listed = []
    for event in events:
        kind = event["type"] if "type" in event else event["event_type"]
        pairs = [
            (one["role"], one["text"] if "text" in one else one["argument"])
            for one in event["arguments"]
            if one["role"] != TRIGGER
        ]
        arguments = [{"role": role, "argument": text} for role, text in dict.fromkeys(pairs) if len(text) >= shortest]
        if arguments:
            listed.append({"event_type": kind, "arguments": arguments})
    return listed


def check_duee_row(row: Any) -> str | None:
    """What is wrong with the form of a row, in a sentence; None if nothing is."""
    if not isinstance(row, Mapping) or not isinstance(row.get("id"), str):
        return "a row must be an object with a string 'id'"
    events = row.get("event_list")
    if not isinstance(events, list):
        return "a row must have a list 'event_list', which may be empty"
    for event in events:
        if not isinstance(event, Mapping) or not isinstance(event.get("event_type"), str):
            return "an event must be an object with a string 'event_type'"
        arguments = event.get("arguments")
        if not isinstance(arguments, list):
            return f"an event must have a list 'arguments', got {arguments!r}"
        for one in arguments:
            if not isinstance(one, Mapping) or not all(isinstance(one.get(key), str) for key in ("role", "argument")):
                return f"an argument must be an object with strings 'role' and 'argument', got {one!r}"
            aliases = one.get("alias", [])
            if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
                return f"alias of an argument must be a list of strings, got {aliases!r}"
    return None


def _by_id(name: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[_Argument]]:
    arguments: dict[str, list[_Argument]] = {}
    for number, row in enumerate(rows, start=1):
        fault = check_duee_row(row)
        if fault is None and row["id"] in arguments:
            fault = f"its id must be unlike that of another row, got {row['id']!r}"
        if fault is not None:
            raise ValueError(f"row {number} of {name}: {fault}")
        arguments[row["id"]] = [
            _Argument((event["event_type"], one["role"]), (one["argument"], *one.get("alias", ())))
            for event in row["event_list"]
            for one in event["arguments"]
        ]
    return arguments
