"""What a submission has of each prediction: the lines and entries of CLUE, LIC2020 and FewCLUE."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_ext.suites.scorers.cluener import cluener_label
from hf_ext.suites.scorers.duee import duee_event_list
from hf_ext.suites.scorers.duie_slots import spo_of_relation, with_types


def label_entry(identifier: Any, label: Any) -> dict[str, Any]:
    """The line of a text with a class, or of the number of a choice as in C3: ``{"id": 3000, "label": "1"}``.

    The id is the test file's, as it stands there; the class is a string, whatever the training files have.
    """
    return {"id": identifier, "label": str(label)}


def idiom_entry(identifier: Any, answer: int) -> dict[str, Any]:
    """The line of a text of FewCLUE's CHID: ``{"id": 3000, "answer": 0}``, the number of a candidate."""
    return {"id": identifier, "answer": int(answer)}


def entities_entry(identifier: Any, text: str, entities: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The line of a text of CLUENER, of entities ``{"start", "end", "label"}``, ``end`` exclusive."""
    return {"id": identifier, "text": text, "label": cluener_label(text, entities)}


def relations_entry(
    text: str, relations: Iterable[Mapping[str, Any]], schema: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """The line of a text of DuIE.

    Args:
        text: as the test file has it; the scorer finds the row by it.
        relations: as `hf_ext.tasks.relations` predicts them, or entries of a ``spo_list``.
        schema: what `hf_ext.suites.scorers.read_duie_schema` gives, for the types; None leaves them out.
    """
    listed = [dict(one) if isinstance(one["subject"], str) else spo_of_relation(one) for one in relations]
    return {"text": text, "spo_list": listed if schema is None else [with_types(one, schema) for one in listed]}


def events_entry(identifier: str, text: str, events: Iterable[Mapping[str, Any]], shortest: int = 1) -> dict[str, Any]:
    """The line of a text of DuEE, see `hf_ext.suites.scorers.duee_event_list`."""
    return {"id": identifier, "text": text, "event_list": duee_event_list(events, shortest)}


def answer_object(ids: Sequence[str], answers: Sequence[Any]) -> dict[str, Any]:
    """The one object of a file of CHID, CMRC2018 or DuReader: the answer of each tag or question.

    Raises:
        ValueError: if an id comes twice, or there is not one answer for each.
    """
    if len(ids) != len(answers):
        raise ValueError(f"answers must be {len(ids)}, one for each id, got {len(answers)}")
    entries = dict(zip(ids, answers))
    if len(entries) != len(ids):
        twice = next(one for number, one in enumerate(ids) if one in ids[:number])
        raise ValueError(f"ids must differ, got {twice!r} twice")
    return entries
