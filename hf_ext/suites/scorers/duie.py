"""DuIE 2.0: precision, recall and F1 of triples whose objects have slots, by the rules of LIC2020's script."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hf_ext.data.text_lines import read_lines

Aliases = Mapping[str, Collection[str]]
"""Of a lower-case word the lower-case words that mean the same, in this direction."""


# What an entry of a ``spo_list`` must have.
_KEYS: tuple[tuple[str, Any, str], ...] = (
    ("subject", str, "a string"),
    ("predicate", str, "a string"),
    ("object", Mapping, "an object of slots"),
)


class _Triple(NamedTuple):
    subject: str
    predicate: str
    slots: Mapping[str, str]


def read_aliases(path: str | os.PathLike[str]) -> dict[str, set[str]]:
    """Read a file of aliases: on each line a word and its aliases, tab-separated, taken in lower case.

    Of two lines for a word the last counts, as in the official script.

    Raises:
        TextFileError: naming the file and the line, if it is not UTF-8.
    """
    words = [line.strip().lower().split("\t") for _, line in read_lines(path)]
    return {word: set(aliases) for word, *aliases in words}


def duie_scores(
    predictions: Iterable[Mapping[str, Any]], references: Iterable[Mapping[str, Any]], aliases: Aliases | None = None
) -> dict[str, Any]:
    """Score triples as the official script of DuIE 2.0 does.

    - Rows go by their texts: of equal texts the last counts, in predictions and references, and predictions of a text
      that no reference has do not count at all.
    - Subjects and values are compared in lower case, and without 《 》 around them; predicates and names of slots as
      they stand. Types are not looked at.
    - A triple is right when subject, predicate and every slot are right, and no slot is missing or too many. The same
      triple twice counts once.
    - A value is right if it is equal, or if each of the two is an alias of the other; of subjects, if the one found in
      a list is an alias of the one that is looked for. So a file of aliases that names a pair in one line alone does
      nothing for objects, and of subjects changes precision or recall, not both.
    - Precision is of the different triples found, recall of the different true ones.

    Args:
        predictions: ``{"text": str, "spo_list": [{"subject": str, "predicate": str, "object": {slot: str}}]}``.
        references: the same.
        aliases: what `read_aliases` gives.

    Returns:
        ``precision``, ``recall`` and ``f1`` in [0, 1], which the script rounds to four digits, a ratio with the
        denominator 0 as 0; ``right`` of the ``predicted`` triples, ``found`` of the ``expected`` ones; the number of
        ``texts`` that are scored; ``repeated_texts``, rows of references that a later one with the same text replaces;
        and ``unknown_texts``, texts of predictions that the references do not have.

    Raises:
        ValueError: naming the row, if a key is missing or of another type, at which the official script stops with
            "schema is error", or breaks off at a value that is not a string.
    """
    found, _ = _by_text("predictions", predictions)
    true, rows = _by_text("references", references)
    words = {} if aliases is None else aliases
    right = predicted = recalled = expected = 0
    for text, triples in true.items():
        true_triples = _different(triples, words)
        # As the script has it, recall looks among the predictions before they are told apart.
        own = found.get(text, [])
        found_triples = _different(own, words)
        predicted += len(found_triples)
        expected += len(true_triples)
        right += sum(_is_among(one, true_triples, words) for one in found_triples)
        recalled += sum(_is_among(one, own, words) for one in true_triples)
    precision = right / predicted if predicted else 0.0
    recall = recalled / expected if expected else 0.0
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "right": right,
        "predicted": predicted,
        "found": recalled,
        "expected": expected,
        "texts": len(true),
        "repeated_texts": rows - len(true),
        "unknown_texts": len(found.keys() - true.keys()),
    }


def check_duie_row(row: Any) -> str | None:
    """What makes the official script stop at a row, in a sentence; None if nothing does."""
    if not isinstance(row, Mapping) or not isinstance(row.get("text"), str):
        return "a row must be an object with a string 'text'"
    listed = row.get("spo_list")
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        return "a row must have a list 'spo_list', which may be empty"
    for spo in listed:
        if not isinstance(spo, Mapping):
            return f"an entry of spo_list must be an object, got {type(spo).__name__}"
        for key, kind, name in _KEYS:
            if not isinstance(spo.get(key), kind):
                return f"{key} of an entry of spo_list must be {name}, got {spo.get(key)!r}"
        value = next((one for one in spo["object"].values() if not isinstance(one, str)), None)
        if value is not None:
            return f"the slots of an object must be strings, got {value!r}"
    return None


def _by_text(name: str, rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, list[_Triple]], int]:
    """The triples of each text, and the number of rows."""
    triples: dict[str, list[_Triple]] = {}
    number = 0
    for number, row in enumerate(rows, start=1):
        fault = check_duie_row(row)
        if fault is not None:
            raise ValueError(f"row {number} of {name}: {fault}")
        triples[row["text"]] = [
            _Triple(
                _plain(spo["subject"]),
                spo["predicate"],
                {slot: _plain(value) for slot, value in spo["object"].items()},
            )
            for spo in row["spo_list"]
        ]
    return triples, number


def _plain(text: str) -> str:
    lower = text.lower()
    return lower[1:-1] if lower.startswith("《") and lower.endswith("》") else lower


def _different(triples: Iterable[_Triple], aliases: Aliases) -> list[_Triple]:
    different: list[_Triple] = []
    for triple in triples:
        if not _is_among(triple, different, aliases):
            different.append(triple)
    return different


def _is_among(triple: _Triple, others: Iterable[_Triple], aliases: Aliases) -> bool:
    return any(
        other.predicate == triple.predicate
        and _means(triple.subject, other.subject, aliases)
        and other.slots.keys() == triple.slots.keys()
        and all(
            _means(value, other.slots[slot], aliases) and _means(other.slots[slot], value, aliases)
            for slot, value in triple.slots.items()
        )
        for other in others
    )


def _means(word: str, other: str, aliases: Aliases) -> bool:
    return word == other or other in aliases.get(word, ())
